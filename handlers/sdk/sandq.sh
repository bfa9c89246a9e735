# Handlers in the shell (POSIX: dash, bash, the ash of busybox): write a function, and serve it.
#
#     #!/bin/sh
#     . "$(dirname "$0")/sdk/sandq.sh"    # before anything is printed or read: see 2.
#
#     count_words() {
#         if ! path=$(sandq_data path); then
#             sandq_error BadData 'data needs a path' retryable=false
#             return
#         fi
#         words=$(wc -w <"$path") || return    # the job fails, and may be tried again
#         sandq_ok "{\"path\":$(sandq_string "$path"),\"words\":$((words))}"
#     }
#
#     sandq_serve count_words
#
# 1. A job is a line on descriptor 0, its answer a line on descriptor 1, or on the descriptor that
#    SANDQ_FD names; with SANDQ_RESULT_FILE the answer is what that file holds.
# 2. Reading this file under sandq, and sandq_serve elsewhere, moves the conversation to the
#    descriptors 7 and 8 (6 is used as well): they are not for you. From then on standard input is
#    empty, and what is printed goes to standard error.
# 3. The function runs in a shell of its own for each job: what it sets is forgotten, `exit` and
#    `set -e` end the job alone. Its first answer counts. Without one, exit code 0 means null, 65
#    that another try is of no use, any other is an error that may be retried.
# 4. JSON that is given to these functions may have line breaks. What is not JSON, or too long for
#    a line, is an error that says so.
#
# In the function, JSON being a text such as '{"n":1}', 5, or what sandq_string prints:
#
#     sandq_data [KEY...]       print what stands in the job's data under KEYs (numbers for arrays,
#                               from 0): a string as it is, anything else as JSON; 1: nothing there
#     sandq_json [KEY...]       the same as JSON, strings too
#     sandq_read VAR [KEY...]   set VAR to it, with all line breaks: $(…) drops the last ones
#     sandq_string TEXT         print TEXT as a JSON string; bytes that are no UTF-8 become U+FFFD
#     sandq_ok [JSON]           the answer: this value (null)
#     sandq_error TYPE MESSAGE [retryable=false] [retry_after_ms=N] [code=TEXT] [data=JSON]
#     sandq_progress JSON       how far the job is
#     sandq_emit JSON           a part of the result, readable while the job runs
#     sandq_log MESSAGE [LEVEL [FIELDS]]   a row for the job's log; FIELDS: a JSON object
#     sandq_heartbeat           the job is alive; all else that it tells says so too
#     sandq_call VERB ARGS      ask sandq for something that the handler may call; ARGS: a JSON
#                               object; prints the JSON of the reply; 1: refused, stderr says why
#
# and the variables SANDQ_JOB_ID, SANDQ_JOB_NAME, SANDQ_QUEUE and SANDQ_ATTEMPT.
#
# sandq_json is made for programs that read JSON: sandq_json | jq '.files | length'
#
# A process in the background may tell things too, but not call, and not while another tells: two
# writers mix lines that are longer than 4,096 bytes. There is no message when a job is cancelled
# or out of time: the function and all it has started get SIGTERM.

sandq_data() { printf '%s\n' "$_sandq_line" | _sandq_awk text data "$@"; }

sandq_json() { printf '%s\n' "$_sandq_line" | _sandq_awk json data "$@"; }

sandq_read() {
    _sandq_var=$1
    shift
    _sandq_text=$(sandq_data "$@" && echo .) || return
    eval "$_sandq_var=\${_sandq_text%??}"
}

sandq_string() { printf '%s\n' "${1-}" | _sandq_awk string; }

sandq_ok() { _sandq_answer '"status":"ok","result":' "${1-null}" ''; }

sandq_error() {
    _sandq_error="{\"type\":$(_sandq_short "$1"),\"message\":$(_sandq_short "${2-}")"
    shift "$(($# < 2 ? $# : 2))"
    for _sandq_member; do
        case $_sandq_member in
            code=*[!0-9]* | code=) _sandq_member="code=$(_sandq_short "${_sandq_member#code=}")" ;;
            retryable=* | retry_after_ms=* | code=* | data=*) ;;
            *) echo "sandq_error does not know '$_sandq_member'" >&2 && continue ;;
        esac
        _sandq_error="$_sandq_error,\"${_sandq_member%%=*}\":${_sandq_member#*=}"
    done
    _sandq_answer '"status":"error","error":' "$_sandq_error}" ''
}

sandq_progress() { _sandq_tell progress '"value":' "${1-null}"; }

sandq_emit() { _sandq_tell emit '"chunk":' "${1-null}"; }

sandq_heartbeat() {
    [ -n "$_sandq_file" ] || printf '{"sandq":1,"type":"heartbeat","id":%s}\n' "$_sandq_id" >&7
}

sandq_log() {
    if [ -n "$_sandq_file" ]; then
        printf '%s: %s\n' "${2-info}" "$1" >&2
        return
    fi
    _sandq_row="\"level\":$(_sandq_short "${2-info}"),\"message\":$(_sandq_short "$1"),\"fields\":"
    _sandq_tell log "$_sandq_row" "${3-"{}"}" 2>/dev/null ||
        _sandq_tell log "$_sandq_row" "{\"text\":$(_sandq_short "$3")}" # a row never fails a job
}

sandq_call() {
    [ -z "$_sandq_file" ] || { echo "$1: nobody is there to reply" >&2 && return 1; }
    _sandq_tell call "\"re\":1,\"verb\":$(_sandq_short "$1"),\"args\":" "${2-"{}"}" || return
    while IFS= read -r _sandq_reply <&8; do
        case $(printf '%s\n' "$_sandq_reply" | _sandq_awk text type) in
            reply) ;;
            *) continue ;;
        esac
        if [ "$(printf '%s\n' "$_sandq_reply" | _sandq_awk json ok)" = true ]; then
            printf '%s\n' "$_sandq_reply" | _sandq_awk json value
            return
        fi
        printf '%s\n' "$1: $(printf '%s\n' "$_sandq_reply" | _sandq_awk json error)" >&2
        return 1
    done
    echo "$1: the input has ended: nobody is left to reply" >&2
    return 1
}

# Serve jobs with the function or the program that is named, until sandq closes the input.
sandq_serve() {
    _sandq_take
    case $- in *e*) _sandq_errexit=-e ;; *) _sandq_errexit=+e ;; esac
    set +e
    [ -n "$_sandq_file" ] ||
        printf '{"sandq":1,"type":"hello","version":1,"sdk":"sh","caps":%s}\n' \
            '["progress","log","heartbeat","emit","call","ping"]' >&7
    while IFS= read -r _sandq_line <&8 || [ -n "$_sandq_line" ]; do
        # It sets _sandq_type, _sandq_id, _sandq_n, _sandq_must and the variables of a job.
        _sandq_set=$(printf '%s\n' "$_sandq_line" | _sandq_awk message) ||
            _sandq_give_up "the input has a line that is no JSON object: $_sandq_set"
        eval "$_sandq_set"
        case $_sandq_type in
            job) _sandq_work "$@" ;;
            ping) printf '{"sandq":1,"type":"pong","n":%s}\n' "$_sandq_n" >&7 ;;
            bye) break ;;
            *)
                [ "$_sandq_must" != true ] || _sandq_give_up \
                    "sandq asks for '$_sandq_type', which version 1 of the protocol does not have"
                ;;
        esac
    done
    set "$_sandq_errexit"
}

# Whoever takes the one line of descriptor 6 may answer, in whatever subshell that is.
_sandq_work() {
    export SANDQ_JOB_ID SANDQ_JOB_NAME SANDQ_QUEUE SANDQ_ATTEMPT
    {
        (
            set "$_sandq_errexit"
            "$@"
        ) </dev/null
        _sandq_status=$?
        case $_sandq_status in
            0) sandq_ok ;;
            65) _sandq_failed retryable=false ;;
            *) _sandq_failed ;;
        esac
    } 6<<one
answer
one
}

_sandq_failed() {
    sandq_error ExitCode "the handler ended with exit code $_sandq_status and without an answer" \
        "code=$_sandq_status" "$@"
}

_sandq_answer() { # what stands before the JSON, the JSON
    _sandq_head="{\"sandq\":1,\"type\":\"result\",\"id\":$_sandq_id,"
    [ -z "$_sandq_file" ] || _sandq_head='{'
    if ! _sandq_text=$(_sandq_framed "$_sandq_head$1" "$2"); then
        _sandq_error="{\"type\":\"InvalidValue\",\"message\":$(_sandq_short "result $_sandq_text")}"
        _sandq_text="$_sandq_head\"status\":\"error\",\"error\":$_sandq_error}"
    fi
    ! IFS= read -r _sandq_token <&6 || printf '%s\n' "$_sandq_text" >&7
}

_sandq_tell() { # type, what stands before the JSON, the JSON
    [ -z "$_sandq_file" ] || return 0
    _sandq_head="{\"sandq\":1,\"type\":\"$1\",\"id\":$_sandq_id,$2"
    if _sandq_text=$(_sandq_framed "$_sandq_head" "$3"); then
        printf '%s\n' "$_sandq_text" >&7
    else
        printf '%s\n' "$1 $_sandq_text" >&2
        return 1
    fi
}

# The head, the JSON on one line, and a brace; or what is wrong with it, and 1.
_sandq_framed() {
    printf '%s\n' "$2" | {
        export _sandq_head="$1"
        _sandq_awk check
    }
}

# A text that fits into a line in any case.
_sandq_short() { printf "%.${_sandq_most}s\n" "$1" | _sandq_awk string; }

_sandq_give_up() {
    printf '{"sandq":1,"type":"fatal","error":{"type":"ProtocolError","message":%s}}\n' \
        "$(_sandq_short "$1")" >&7
    exit 1
}

# Move the conversation out of reach of user code and of the programs it starts; and these are no
# handlers.
_sandq_take() {
    [ -z "${_sandq_taken-}" ] || return 0
    _sandq_taken=1 _sandq_file=${SANDQ_RESULT_FILE-}
    _sandq_most=$((${SANDQ_MAX_LINE:-1048576} / 16))
    [ "$_sandq_most" -lt 8000 ] || _sandq_most=8000
    if [ -n "$_sandq_file" ]; then
        exec 7>"$_sandq_file"
    elif [ -n "${SANDQ_FD-}" ]; then
        exec 7>&"$SANDQ_FD"
        [ "$SANDQ_FD" = 7 ] || eval "exec $SANDQ_FD>&-"
    else
        exec 7>&1 1>&2
    fi
    exec 8<&0 </dev/null
    unset SANDQ_PROTOCOL SANDQ_FD SANDQ_RESULT_FILE
}

# One program reads and writes all JSON; bytes are bytes to it. Its first argument:
#   text, json KEY...  of the object on the input, what stands under KEYs; 1: nothing
#   message            of a line for us, what sandq_serve wants to know, for `eval`
#   check              the JSON on the input, strict, on one line
#   string             the text on the input, without its last line break, as a JSON string
_sandq_awk() {
    LC_ALL=C awk '
# --- reading: `rest` is a window on the input, so that nothing is done to a long text at once

function fill() {
    while (length(rest) < 16 && !over) more()
}

function more() {
    if (at <= length(text)) {
        rest = rest substr(text, at, 1000)
        at += 1000
    } else if ((getline text) > 0) {
        text = text "\n"
        at = 1
    } else over = 1
}

function bad(why) {
    if (!failed) print "is not JSON: " why (rest ~ /^\n?$/ ? "" : " at: " mended(substr(rest, 1, 40)))
    failed = 1
    exit 1
}

function drop(count) {
    rest = substr(rest, count + 1)
}

# the first character of the next token; "" at the end
function peek() {
    fill()
    while (match(rest, /^[ \t\r\n]+/)) {
        drop(RLENGTH)
        fill()
    }
    return substr(rest, 1, 1)
}

# what stands between the quotes, escapes as they are
function string(   raw, part, escape_length) {
    drop(1)
    for (;;) {
        fill()
        match(rest, /^([^"\\\001-\037]|\\["\\\/bfnrt])*/)
        if (RLENGTH < 1) {
            if (rest ~ /^\n?$/) bad("a string is not closed")
            if (substr(rest, 1, 1) == "\"") break
            escape_length = escape()
            if (escape_length == 0) bad("a string may not have this character or escape")
            RLENGTH = escape_length
        }
        part = part substr(rest, 1, RLENGTH)
        drop(RLENGTH)
        if (length(part) > 1000) {
            raw = raw part
            part = ""
        }
    }
    drop(1)
    raw = raw part
    if (raw ~ /[\200-\377]/ && !is_utf8(raw)) bad("a string is not UTF-8")
    return raw
}

# the length of the escape \u…, a pair of them if it is the first of a pair; 0: it is none
function escape() {
    if (rest !~ /^\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]/) return 0
    if (rest !~ /^\\u[dD][89a-fA-F]/) return 6
    return rest ~ /^\\u[dD][89abAB]..\\u[dD][c-fC-F][0-9a-fA-F][0-9a-fA-F]/ ? 12 : 0
}

function is_utf8(raw,   from, count, block) {
    for (from = 1; from <= length(raw); from += count) {
        count = 1000
        while (substr(raw, from + count, 1) ~ /[\200-\277]/) count++
        block = substr(raw, from, count)
        if (mended(block) != block) return 0
    }
    return 1
}

# a text with U+FFFD for each byte that is no UTF-8
function mended(block,   out) {
    while (block != "") {
        if (match(block, utf8_run)) {
            out = out substr(block, 1, RLENGTH)
            block = substr(block, RLENGTH + 1)
        } else {
            out = out "\357\277\275"
            block = substr(block, 2)
        }
    }
    return out
}

# One value. `hit`: how many of the wanted keys lead here, -1: others do. What is wanted is kept.
function value(depth, hit,   open, close_, raw, count, seen, leads) {
    open = peek()
    if (hit == wanted) keeping = 1
    if (open == "\"") {
        raw = string()
        keep("\"")
        keep(raw)
        keep("\"")
    } else if (open == "{" || open == "[") {
        if (depth > 64) bad("it is nested deeper than 64")
        close_ = open == "{" ? "}" : "]"
        keep(open)
        drop(1)
        count = 0
        while (peek() != close_) {
            if (count > 0) comma()
            if (open == "{") {
                raw = key(seen)
                if (hit == 0 && wanted < 0) note(raw)
            } else raw = count
            # with "" they are compared as texts
            leads = hit >= 0 && hit < wanted && want[hit + 1] "" == raw ""
            value(depth + 1, leads ? hit + 1 : -1)
            if (hit == 0 && wanted < 0) noted()
            count++
        }
        keep(close_)
        drop(1)
    } else literal()
    if (hit == wanted) keeping = !(found = 1)
}

function comma() {
    if (peek() != ",") bad("a comma or a bracket is missing")
    keep(",")
    drop(1)
}

function key(seen,   raw, text_) {
    if (peek() != "\"") bad("the name of a member is missing")
    raw = string()
    text_ = decoded(raw)
    if (text_ in seen) bad("the member " text_ " is there twice")
    seen[text_] = 1
    if (peek() != ":") bad("a colon is missing")
    drop(1)
    keep("\"")
    keep(raw)
    keep("\":")
    return text_
}

function literal(   word, number) {
    while (match(rest, /^[-+.0-9A-Za-z]+/) && RLENGTH == length(rest) && !over) more()
    word = RLENGTH > 0 ? substr(rest, 1, RLENGTH) : ""
    if (word ~ /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$/) number = word + 0
    else if (word !~ /^(true|false|null)$/) bad("no value")
    # some awks make 0 of what is too large for them
    if (number == 0 && word ~ /^-?[1-9][0-9.]*([eE]\+?[0-9]+)?$/) bad("too large a number")
    if (number > largest || number < -largest) bad("too large a number")
    keep(word)
    drop(length(word))
}

# --- what is kept, in pieces, for a long text is dear to add to

function keep(piece) {
    if (!keeping) return
    kept = kept piece
    size += length(piece)
    if (length(kept) > 1000) {
        pieces[++pieces_] = kept
        kept = ""
    }
}

function all_kept(   text_, n) {
    for (n = 1; n <= pieces_; n++) text_ = text_ pieces[n]
    text_ = text_ kept
    kept = ""
    pieces_ = size = 0
    return text_
}

function print_kept(   n) {
    for (n = 1; n <= pieces_; n++) print pieces[n]
    print kept
}

# --- writing

# what a string says; printed when it is long, for nothing else is done with it then
function decoded(raw, is_last,   parts, count, n, out, code) {
    if (index(raw, "\\") == 0) {
        if (!is_last) return raw
        print raw
        return ""
    }
    count = split(raw, parts, "\\")
    out = parts[1]
    for (n = 2; n <= count; n++) {
        if (parts[n] == "") out = out "\\" parts[++n]
        else if (substr(parts[n], 1, 1) == "u") {
            code = hex(substr(parts[n], 2, 4))
            if (code >= 55296 && code < 56320) {
                # the other half of a pair
                code = 65536 + (code - 55296) * 1024 + hex(substr(parts[++n], 2, 4)) - 56320
            }
            if (code == 0 && is_last) {
                print "a string holds the character 0, which a shell cannot\n" >"/dev/stderr"
                exit 1
            }
            out = out utf8(code) substr(parts[n], 6)
        } else {
            code = index("bfnrt\"/", substr(parts[n], 1, 1))
            out = out substr("\b\f\n\r\t\"/", code, 1) substr(parts[n], 2)
        }
        if (is_last && length(out) > 1000) {
            print out
            out = ""
        }
    }
    if (is_last) print out
    return out
}

function hex(digits,   n, code) {
    for (n = 1; n <= 4; n++) code = code * 16 + index("123456789abcdef", tolower(substr(digits, n, 1)))
    return code
}

function utf8(code) {
    if (code < 128) return code == 0 ? "\\u0000" : sprintf("%c", code)
    if (code < 2048) return sprintf("%c", 192 + int(code / 64)) tail(code, 1)
    if (code < 65536) return sprintf("%c", 224 + int(code / 4096)) tail(code, 2)
    return sprintf("%c", 240 + int(code / 262144)) tail(code, 3)
}

function tail(code, count) {
    if (count == 0) return ""
    return tail(int(code / 64), count - 1) sprintf("%c", 128 + code % 64)
}

function print_string(   n, from, count, block, c) {
    for (n = 1; n < 32; n++) escapes[sprintf("%c", n)] = sprintf("\\u%04x", n)
    escapes["\t"] = "\\t"
    escapes["\r"] = "\\r"
    escapes["\""] = "\\\""
    escapes["\\"] = "\\\\"
    print "\""
    for (n = 0; (getline text) > 0; n++) {
        if (n > 0) print "\\n"
        for (from = 1; from <= length(text); from += count) {
            count = 1000
            while (substr(text, from + count, 1) ~ /[\200-\277]/) count++
            block = mended(substr(text, from, count))
            while (match(block, /[\001-\037"\\]/)) {
                c = substr(block, RSTART, 1)
                print substr(block, 1, RSTART - 1) escapes[c]
                block = substr(block, RSTART + 1)
            }
            print block
        }
    }
    print "\"\n"
}

# --- for `message`: the members of the line that count, one by one

function note(name) {
    if (name in noticed) keeping = 1
    noting = name
}

function noted() {
    if (keeping) members[noting] = all_kept()
    keeping = 0
}

function plain(name) {
    if (members[name] !~ /^"/) return members[name]
    return decoded(substr(members[name], 2, length(members[name]) - 2))
}

function set(variable, text_,   parts, count, n) {
    count = split(text_, parts, "\047")
    print variable "=\047" parts[1]
    for (n = 2; n <= count; n++) print "\047\\\047\047" parts[n]
    print "\047\n"
}

BEGIN {
    ORS = ""
    largest = "1.7976931348623157e308" + 0
    more_ = "[\200-\277]"
    utf8_run = "^([\001-\177]|[\302-\337]" more_
    utf8_run = utf8_run "|\340[\240-\277]" more_ "|[\341-\354\356\357]" more_ more_
    utf8_run = utf8_run "|\355[\200-\237]" more_ "|\360[\220-\277]" more_ more_
    utf8_run = utf8_run "|[\361-\363]" more_ more_ more_ "|\364[\200-\217]" more_ more_ ")+"
    at = 1
    mode = ARGV[1]
    wanted = ARGC - 2
    for (n = 1; n <= wanted; n++) want[n] = ARGV[n + 1]
    ARGC = 1
    limit = ENVIRON["SANDQ_MAX_LINE"] + 0
    if (limit == 0) limit = 1048576

    if (mode == "string") {
        print_string()
        exit
    }
    fill()
    # a byte order mark
    if (substr(rest, 1, 3) == "\357\273\277") drop(3)

    if (mode == "message") {
        wanted = -2
        count = split("sandq type id name queue attempt n must", names, " ")
        for (n = 1; n <= count; n++) noticed[names[n]] = 1
        # a blank line says nothing
        if (peek() == "") {
            set("_sandq_type", "")
            set("_sandq_must", "")
            exit
        }
        if (peek() != "{") bad("no object")
        value(0, 0)
        if (peek() != "") bad("more than one value")
        set("_sandq_type", "sandq" in members ? plain("type") : "job")
        set("_sandq_id", members["id"] ~ /^"/ ? members["id"] : "\"\"")
        set("_sandq_must", members["must"])
        set("_sandq_n", members["n"])
        set("SANDQ_JOB_ID", plain("id"))
        set("SANDQ_JOB_NAME", plain("name"))
        set("SANDQ_QUEUE", plain("queue"))
        set("SANDQ_ATTEMPT", members["attempt"] == "" ? 1 : members["attempt"])
        exit
    }

    value(mode == "check" ? 1 : 0, 0)
    if (!found) exit 1
    if (mode == "check") {
        if (peek() != "") bad("more than one value")
        size += length(ENVIRON["_sandq_head"]) + 1
        if (size > limit) {
            print "is " size " bytes as a line, more than the " limit " allowed: "
            print "keep it in a file or a database, send where it is"
            exit 1
        }
        print ENVIRON["_sandq_head"]
        print_kept()
        print "}\n"
    } else {
        text = all_kept()
        if (mode == "text" && text ~ /^"/) decoded(substr(text, 2, length(text) - 2), 1)
        else print text
        print "\n"
    }
}
' "$@"
}

[ -z "${SANDQ_PROTOCOL-}" ] || _sandq_take
