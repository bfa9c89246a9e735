#!/bin/sh
# Tell the longest line of each of some text files, each as soon as it is known.
#
# data: {"paths": [path, ...]}
# emits: {"path": path, "line": text} for each file
# result: {"files": number}

. "$(dirname "$0")/sdk/sandq.sh"

longest() {
    files=0
    while sandq_read path paths "$files"; do
        if [ ! -f "$path" ]; then
            sandq_error NotFound "no file $path" retryable=false
            return
        fi
        line=$(awk 'length($0) > length(longest) { longest = $0 } END { print longest }' "$path") ||
            return # an error that says so; the job may be tried again
        sandq_emit "{\"path\":$(sandq_string "$path"),\"line\":$(sandq_string "$line")}"
        files=$((files + 1))
    done
    if [ "$files" -gt 0 ]; then
        sandq_ok "{\"files\":$files}"
    else
        sandq_error BadData 'data needs paths: {"paths": ["a.txt"]}' retryable=false
    fi
}

sandq_serve longest
