# A handler of the simple level that does what the name of its job says, in a shell: it starts fast.
while read -r job; do
  case $job in
    *'"name":"exit"'*) exit 3 ;;
    *'"name":"die"'*) kill -SEGV $$ ;;
    *'"name":"half"'*) printf '{"status":'; exit 0 ;;
    *'"name":"twice"'*) printf '1\n2\n'; exec sleep 60 ;;
    *'"name":"nan"'*) echo '{"status":"ok","result":NaN}'; exec sleep 60 ;;
    *'"name":"version"'*) echo '{"sandq":2}'; exec sleep 60 ;;
    *'"name":"hello"'*) echo noise; echo '{"sandq":1,"type":"hello"}'; exec sleep 60 ;;
    *'"name":"fatal"'*) echo '{"sandq":1,"type":"fatal","error":"no"}'; exec sleep 60 ;;
    *'"name":"long"'*) head -c 1100000 /dev/zero | tr '\0' x; exec sleep 60 ;;
    *'"name":"output"'*) exec sleep 60 >&- ;;
    *'"name":"silent"'*) trap '' TERM; sleep 60 & wait; sleep 60 ;;
    *'"name":"daemon"'*) (setsid sleep 60 &) ; exit 3 ;;
    *'"name":"flood"'*) yes 'words and words' | head -c 200000 >&2; echo 7 ;;
    *'"name":"noise"'*) echo noise; echo '{"status":"ok","result":7}' ;;
    *'"name":"error"'*) echo '{"status":"error","error":"no"}' ;;
    *) echo '{"status":"ok","result":7}' ;;
  esac
done
