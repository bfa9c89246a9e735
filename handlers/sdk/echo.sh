#!/bin/sh
# data -> data; {"fail": message} -> an error; and what spec/conformance.md asks for, by its word.

. "$(dirname "$0")/sandq.sh"

echo_() {
    if sandq_read message fail; then
        sandq_error Asked "$message"
        return
    fi
    case $(sandq_data sandq_test) in
        progress) sandq_progress 0.5 ;;
        log) sandq_log 'as asked' warning '{"n":1}' ;;
        emit) sandq_emit '[1,"two"]' ;;
        heartbeat) sandq_heartbeat ;;
        call)
            value=$(sandq_call "$(sandq_data verb)" "$(sandq_json args)") || return
            sandq_ok "$value"
            ;;
        retry_later) sandq_error Later 'as asked' retry_after_ms="$(sandq_data retry_after_ms)" ;;
        unrecoverable) sandq_error Never 'as asked' retryable=false ;;
    esac
    sandq_ok "$(sandq_json)" # the first answer counts
}

sandq_serve echo_
