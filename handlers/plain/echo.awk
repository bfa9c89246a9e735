#!/usr/bin/gawk -f
# awk. data -> data; {"fail": message} -> an error        (mawk needs the option -W interactive)
# awk has no JSON: a member is found in its object and its text left as it is.

# The text of the member `name` of an object, or "". What stands after `name` are local variables.
function member(object, name,    rest, part, parts, sign, i, at, depth, quoted, opened, found, value) {
    rest = object
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
            if (depth == 1 && value && found == name) return substr(object, value, at - value)
            if (depth == 1) value = 0
            if (sign != ",") depth--
        }
    }
}

{
    data = member($0, "data")
    fail = member(data, "fail")
    if (data == "") exit 65 # it was no job
    if (fail != "") print "{\"status\":\"error\",\"error\":{\"type\":\"Asked\",\"message\":" fail "}}"
    else print "{\"status\":\"ok\",\"result\":" data "}"
    fflush()
}
