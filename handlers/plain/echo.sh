#!/bin/sh
# POSIX shell. data -> data; {"fail": message} -> an error
# The shell has no JSON: awk finds a member in its object and leaves its text as it is.

member() { # object, name
    printf '%s\n' "$1" | LC_ALL=C awk -v name="$2" '{
        rest = $0
        gsub(/\\["\\]/, "\001\001", rest)    # what is escaped is no sign; places stay as they are
        gsub(/[][{}",:]/, "\002&\002", rest) # JSON holds neither byte as it is
        parts = split(rest, part, "\002")
        for (i = at = 1; i <= parts; at += length(part[i++])) {
            sign = part[i]
            if (sign == "\"") {
                if (quoted && !value) found = (i == opened + 2) ? part[i - 1] : ""
                if (quoted = !quoted) opened = i
            } else if (quoted) {
                continue # a string may hold any sign
            } else if (sign == "[" || sign == "{") {
                depth++
            } else if (sign == ":") {
                if (depth == 1) value = at + 1
            } else if (sign == "," || sign == "]" || sign == "}") {
                if (depth == 1 && value && found == name) { print substr($0, value, at - value); exit }
                if (depth == 1) value = 0
                if (sign != ",") depth--
            }
        }
    }'
}

while IFS= read -r job; do
    data=$(member "$job" data) fail=
    [ "$data" ] || exit 65 # it was no job
    case $data in *'"fail"'*) fail=$(member "$data" fail) ;; esac
    if [ "$fail" ]; then
        printf '{"status":"error","error":{"type":"Asked","message":%s}}\n' "$fail"
    else
        printf '{"status":"ok","result":%s}\n' "$data"
    fi
done
