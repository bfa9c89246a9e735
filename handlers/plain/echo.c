// build: cc -O2 handlers/plain/echo.c -o echo
//
// C. data -> data; {"fail": message} -> an error
// C has no JSON: a member is found in its object and its text left as it is.
#define _POSIX_C_SOURCE 200809L // getline
#include <stdio.h>
#include <string.h>

// The text of the member `name`, given in quotes; NULL: there is none. The object is cut behind it.
static char *member(char *object, const char *name)
{
    char *found = object, *value = NULL; // where the latest name begins, and its value
    int depth = 0, quoted = 0;

    for (char *at = object; *at; at++) {
        if (*at == '\\' && at[1]) {
            at++; // what is escaped does not end its string
        } else if (*at == '"') {
            quoted = !quoted;
            if (quoted && !value) found = at;
        } else if (quoted) {
            continue;
        } else if (*at == '[' || *at == '{') {
            depth++;
        } else if (*at == ':' && depth == 1) {
            value = at + 1;
        } else if (*at == ',' || *at == ']' || *at == '}') {
            if (depth == 1 && value && !strncmp(found, name, strlen(name))) return *at = '\0', value;
            if (depth == 1) value = NULL;
            if (*at != ',') depth--;
        }
    }
    return NULL;
}

int main(void)
{
    char *line = NULL, *data, *fail;
    for (size_t size = 0; getline(&line, &size, stdin) > 0; fflush(stdout)) {
        if (!(data = member(line, "\"data\""))) return 65; // it was no job
        if ((fail = member(data, "\"fail\"")))
            printf("{\"status\":\"error\",\"error\":{\"type\":\"Asked\",\"message\":%s}}\n", fail);
        else
            printf("{\"status\":\"ok\",\"result\":%s}\n", data);
    }
}
