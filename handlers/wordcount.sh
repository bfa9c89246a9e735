#!/bin/sh
# Count the words of a text file. The shell, sed, grep and wc are all it takes.
#
# data: {"path": path}          what stands before "path" must be plain: no array, no object
# result: {"words": number}

ws='[[:space:]]*'
string='"([^"\\]|\\.)*"'
member="$ws$string$ws:$ws($string|[-+.a-zA-Z0-9]+)$ws,"
path_in_job="^$ws\{($member)*$ws\"data\"$ws:$ws\{($member)*$ws\"path\"$ws:$ws\"(([^\"\\]|\\\\.)*)\".*"

fail() { # type, message in JSON's escapes
    printf '{"status":"error","error":{"type":"%s","message":"%s","retryable":false}}\n' "$1" "$2"
}

while IFS= read -r job; do
    # `text` is the path as JSON writes it, fit for an error message; `path` is the path itself.
    text=$(printf '%s\n' "$job" | LC_ALL=C sed -En "s/$path_in_job/\9/p")
    path=$(printf '%s\n' "$text" | LC_ALL=C sed 's,\\\([\\"/]\),\1,g')

    if [ -z "$text" ]; then
        fail BadData 'data needs a path, as in {\"path\": \"notes.txt\"}'
    elif printf '%s\n' "$text" | LC_ALL=C sed 's,\\[\\"/],,g' | grep -q '\\'; then
        fail BadPath "cannot read the escapes of $text: write its characters as they are"
    elif [ ! -f "$path" ]; then
        fail NotFound "no file $text"
    elif words=$(LC_ALL=C.UTF-8 wc -w < "$path"); then # plain C knows no word in Cyrillic
        printf '{"status":"ok","result":{"words":%d}}\n' "$words"
    else
        fail CannotRead "cannot read $text: standard error says why"
    fi
done
