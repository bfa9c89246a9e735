"""The numbers that the pages of spec/ tell, and where the code has them."""

import re
from importlib import import_module

from sandq.child import death, ending
from sandq.model.supervision import Supervision
from sandq.protocol import reading
from tests.house.pages import LUA, amount

DEFAULTS = Supervision()

LUA_CONSTANT = re.compile(r"^(?:local |[A-Z]\w*\.)([A-Z][A-Z_]+) = '?([\de]+)'?$", re.M)


def constant(name):
    """A constant as `room.module:NAME`, or `lua/source:NAME`, in ms, bytes or pieces."""
    module, word = name.split(":")
    if module.startswith("lua/"):
        value = float(dict(LUA_CONSTANT.findall(LUA[module.removeprefix("lua/")]))[word])
    else:
        value = getattr(import_module(f"sandq.{module}"), word)
    units = {"_S": 1000, "YEARS": amount("1 years")}

    return value * next((unit for end, unit in units.items() if word.endswith(end)), 1)


SHARED = {
    "data of a job": "model.payload:MAX_DATA_BYTES",
    "the kill grace": DEFAULTS.kill_grace_ms,
    "times a job may be recovered": DEFAULTS.max_stalls,
}

NUMBERS = {
    "storage": {
        **SHARED,
        "the layout": "store.keys:LAYOUT",
        "a lease": DEFAULTS.lease_ms,
        "a lease of a claim made by hand": "face.job:LEASE_S",
        "between two looks for stalled jobs, at most": DEFAULTS.recover_ms,
        "entries kept of the event stream, about": "lua/include/events:KEPT",
        "failure records kept of earlier attempts, unless the job says otherwise": (
            "lua/include/settle:FAILURES_KEPT"
        ),
        "failure records kept of earlier attempts, at most": (
            "model.stored_options:MAX_STACK_TRACES"
        ),
        "log rows kept of a job, at least": "model.bounds:LOG_ROWS_KEPT",
        "of these, the first of the job": "model.bounds:LOG_ROWS_FIRST",
        "of these, the newest": "model.bounds:LOG_ROWS_NEWEST",
        "log rows of a job that wait to be told, the first of them, at most": (
            "model.bounds:FIRST_BYTES_WAITING"
        ),
        "log rows of a job that wait to be told, the newest of them, at most": (
            "model.bounds:NEWEST_BYTES_WAITING"
        ),
        "parts of its result kept of an attempt, at most": "model.bounds:EMITTED_KEPT",
        "the bytes of all of them, at most": "model.bounds:EMITTED_BYTES",
        "reports in one call, at most": "flow.settler:REPORTS_AT_ONCE",
        "what they say, in one call, unless one alone says more": (
            "flow.settler:REPORT_BYTES_AT_ONCE"
        ),
        "log rows read at once by who follows a job": "store.said:ROWS_AT_ONCE",
        "a job that is followed is asked for news every": "steps.follow:FOLLOW_EVERY_S",
        "a value or record that an event brings of a removed job": "lua/include/settle:MOST_TOLD",
        "jobs in one call of `add`": "model.building:JOBS_AT_ONCE",
        "due jobs promoted by one claim, at most": "lua/include/due:MOST",
        "jobs that expire, or whose value goes, by one claim, at most": (
            "lua/include/due:MOST_EXPIRED"
        ),
        "groups whose window has ended, looked at by one claim, at most": (
            "lua/include/due:MOST_GROUPS"
        ),
        "parked groups looked at by one `tend`, at most": "lua/tend:MOST_ASKED",
        "jobs looked at by one claim, at most": "lua/include/claim_next:MOST_SEEN",
        "between two times that supervisors are woken for what expires": (
            "lua/include/due:EXPIRY_EVERY_MS"
        ),
        "a window is kept after its end for at least": "lua/include/gate:WINDOW_KEPT_MS",
        "an entry of `cancelling` that nobody asks for is kept for": "lua/tend:KEPT_MS",
        "jobs removed by one settlement because newer ones are enough, at most": (
            "lua/include/settle:MOST_PRUNED"
        ),
        "jobs moved or removed at once by any other call, at most": "store.verbs:AT_ONCE",
        "jobs looked at by one `clean`, at most": "store.verbs:LOOKED_AT",
        "events looked at by one `ending`, at most": "store.reads:EVENTS_AT_ONCE",
        "events read at once": "store.commands:EVENTS_AT_ONCE",
        "records read at once": "steps.looking:RECORDS_AT_ONCE",
        "stalled jobs recovered by one call, at most": "flow.janitor:BATCH",
        "settlements in one call, at most": "flow.settler:BATCH",
        "leases renewed by one call, at most": "flow.lease:BATCH",
        "series looked at by one call, at most": "flow.calendar:AT_ONCE",
        "a supervisor asks what is to be stopped every": "flow.heed:HEED_EVERY_S",
        "a supervisor says that it is there every": "flow.presence:BEAT_EVERY_S",
        "the same, after a change, within": "flow.presence:LOOK_EVERY_S",
        "what it says is good for": "flow.presence:KEPT_MS",
        "ids of running jobs it tells, at most": "flow.presence:JOBS_TOLD",
        "a piece of data": "lua/include/pieces:SIZE",
        "pieces of the data of a job, at most": "lua/include/pieces:MOST",
        "nesting of data": "model.payload:MAX_DEPTH",
        "priority": "model.options:MAX_PRIORITY",
        "rank of a job without priority": "lua/include/move:LAST_RANK",
        "attempts": "model.stored_options:MAX_ATTEMPTS",
        "a duration": "model.duration:MAX_MS",
        "a job name": "model.names:MAX_NAME_BYTES",
        "a job id": "model.names:MAX_ID_BYTES",
        "a group, a tag, a dedup key, a series key": "model.checks:MAX_LABEL_BYTES",
        "tags of a job": "model.checks:MAX_TAGS",
        "entries of metadata": "model.checks:MAX_METADATA",
        "all of them, as JSON": "model.checks:MAX_METADATA_BYTES",
        "entries of a list of waits": "model.backoff:MAX_DELAYS",
        "the multiplier of a backoff": "model.backoff:MAX_MULTIPLIER",
        "options of a named backoff, as JSON": "model.backoff:MAX_OPTIONS_BYTES",
        "jobs that are kept by number": "model.keep:MAX_KEPT",
        "the setting `max_size`": "model.queue_settings:MAX_SIZE",
        "the settings `concurrency` and `group_concurrency`": (
            "model.queue_settings:MAX_CONCURRENCY"
        ),
        "starts in a window": "model.rate_limit:MAX_STARTS",
        "minutes of metrics kept": "model.queue_settings:METRICS_POINTS",
        "minutes of metrics kept, at most": "model.queue_settings:MAX_METRICS_POINTS",
        "occurrences of a series": "model.repeat:MAX_LIMIT",
        "missed occurrences made up for, unless it says otherwise": "model.repeat:DEFAULT_CATCH_UP",
        "missed occurrences made up for, at most": "model.repeat:MAX_CATCH_UP",
        "a cron expression": "model.cron:MAX_LENGTH",
        "a cron expression that does not match for so long never does": "model.cron:HORIZON_YEARS",
        "a wait for the bell": "flow.claimer:IDLE_WAIT_S",
        "waits in vain before a supervisor asks all the same": "flow.claimer:ASK_AFTER_WAITS",
        "work held ahead by a supervisor, as the time its children need for it": DEFAULTS.ahead_ms,
        "claims held ahead, at most": DEFAULTS.ahead_most,
        "a claim held ahead that has not started is given back after": "flow.desk:HELD_MOST_S",
        "who waits for a job looks at it at the latest after": "store.endings:LOOK_AGAIN_S",
    },
    "protocol": {
        **SHARED,
        "the version": "protocol.messages:VERSION",
        "a line, unless configured": "model.limits:DEFAULT_LINE_BYTES",
        "nesting of a value": "model.payload:MAX_DEPTH",
        "an error's type": len(reading.read_error({"type": "x" * 999}).type.split("…")[0]),
        "an error's message": "protocol.reading:MESSAGE_KEPT",
        "an error's stack": "protocol.reading:STACK_KEPT",
        "an error's data": "protocol.reading:ERROR_DATA_KEPT",
        "the message of a log row": "protocol.reading:MESSAGE_KEPT",
        "what is quoted of an offending line": "model.payload:QUOTE_BYTES",
        "lines of text kept with a death": "child.capture:TAIL_LINES",
        "each of them": "child.capture:TAIL_CHARACTERS",
        "a line of text in the job's log": "child.capture:LINE_CHARACTERS",
        "of lines that come at once: the first": "child.capture:FIRST_AT_ONCE",
        "of lines that come at once: the last": "child.capture:LAST_AT_ONCE",
        "a stream of text rests after": "child.capture:FLOOD_BYTES",
        "if they came within": "child.capture:FLOOD_S",
        "errors behind an error": "protocol.reading:MAX_CAUSES",
        "parts kept of an attempt": "model.bounds:EMITTED_KEPT",
        "their size": "model.bounds:EMITTED_BYTES",
        "replies that wait for a child that does not read": "child.asking:MOST_UNREAD",
        "output that takes longer to read, and ends no job, rests": "child.pipes:LONG_READ_S",
        "for so many times as long": "child.pipes:REST_TIMES",
        "output read of a child that has died": "child.pipes:DRAIN_BYTES",
        "a life without hello that makes a child ready": "child.between:MIN_UPTIME_S",
        "answers under probation": "child.between:PROBATION_JOBS",
        "silence after each of them": "child.between:PROBATION_S",
        "a life without output": "child.child:EOF_GRACE_S",
        "the part of the grace before SIGTERM, in percent": round(ending.ASKED_SHARE * 100),
        "the grace when the supervisor stops, at most": "flow.supervisor:LAST_GRACE_S",
        "a child answers a ping within": "child.pulse:PONG_WITHIN_S",
        "a claim is let go when its child is not gone after the grace and": (
            "child.ending:OVERRUN_S"
        ),
        "progress and log rows reach Redis within about": "flow.lane:REPORT_EVERY_S",
        "log rows kept of what a job says in that time, at least": "model.bounds:LOG_ROWS_KEPT",
        "the pause after a failed start, at first": "child.health:FIRST_PAUSE_S",
        "the same, at most": "child.health:LONGEST_PAUSE_S",
        "failed starts that make a handler unhealthy": "child.health:UNHEALTHY_AFTER",
    },
    "cli": {
        **SHARED,
        "the pool": DEFAULTS.pool,
        "the lease": DEFAULTS.lease_ms,
        "between two looks for stalled jobs": DEFAULTS.recover_ms,
        "the drain timeout": DEFAULTS.drain_ms,
        "jobs have waited for so long when children are added": "child.wear:GROW_AFTER_MS",
        "a child waits for its successor before its last job while no other is idle, at most": (
            "child.children:HELD_MOST_S"
        ),
        "an idle child is asked whether it is alive every": "child.upkeep:PING_EVERY_S",
        "it answers within": "child.pulse:PONG_WITHIN_S",
        "the last outcomes may take to reach Redis when stopping": (
            "flow.supervisor:SETTLE_WITHIN_S"
        ),
        "a second stop signal is the same one within": "cli.run:SAME_SIGNAL_S",
        "a command may take": "store.connect:COMMAND_TIMEOUT_S",
        "connecting may take": "store.connect:CONNECT_TIMEOUT_S",
        "the embedded server may take to come up": "store.embedded:_START_DEADLINE_S",
        "a command waits for the folder's lock": "store.embedded_folder:_LOCK_DEADLINE_S",
        "a whole path of a socket": "store.embedded_folder:_SOCKET_PATH_LIMIT",
    },
}
# a number that is made of two of the code's
NUMBERS["storage"]["data that is kept in pieces, at most"] = 8 * constant("lua/include/pieces:SIZE")

#: Constants that no page promises -> why not.
NOT_TOLD = {
    "model.backoff_function:SHOWN": "what is quoted of a user's own words",
    "model.checks:MAX_POSITION": "no queue is so long",
    "model.cron:_ORIGIN": "where a search begins",
    "model.handler:SHOWN": "what is shown of a command",
    "model.job:_PIECE_BYTES": "the same as in include/pieces.lua; test_pieces compares",
    "model.limits:_MOST_BYTES": "no machine is so large",
    "model.moment:LAST_MS": "the year 2200; the message says so",
    "model.sandbox:MIB": "a unit",
    "model.sandbox_entries:_MOST": "no machine is so large",
    "store.audit:JUDGED_AT_ONCE": "how an audit paces itself",
    "store.audit:PAGE": "how an audit paces itself",
    "store.audit:BLOCK": "how an audit paces itself",
    "store.audit:MOST_COUNTED": "how an audit paces itself",
    "store.audit:ROUNDS": "how an audit paces itself",
    "store.cluster:HOPS": "how often a client asks another node",
    "store.connect:CONNECTIONS": "how a client works",
    "store.embedded:_ANSWER_TIMEOUT_S": "how a client works",
    "store.embedded_folder:LAYOUT": "of the marker, which the page does not describe",
    "store.embedded_folder:POLL_S": "how a client works",
    "store.embedded_folder:_QUOTED_LINES": "what is quoted of a log",
    "store.embedded_folder:_QUOTED_BYTES": "what is quoted of a log",
    "store.reads:NO_PRIORITY_RANK": "the same as in include/move.lua",
    "store.url:REDIS_PORT": "everybody's",
    "store.url:SENTINEL_PORT": "everybody's",
    "flow.calendar:LATE_S": "how a supervisor works",
    "flow.calendar:PAUSE_S": "how a supervisor works",
    "flow.calendar:STUCK_EVERY_S": "how a supervisor works",
    "flow.claimer:FIRST_PAUSE_S": "how a supervisor works",
    "flow.claimer:LONGEST_PAUSE_S": "how a supervisor works",
    "flow.file_watch:LOOK_EVERY_S": "told in cli.md, in the text",
    "flow.growth:LOOK_EVERY_S": "how a supervisor works",
    "flow.inprocess:STACK_KEPT": "the same as of a child",
    "flow.pace:_LONGEST_GAP_S": "how a supervisor works",
    "flow.pace:_NEWEST": "how a supervisor works",
    "flow.slot:LONGEST_WAIT_MS": "told in states.md, in the text",
    "steps.adding:BYTES_AT_ONCE": "how a client works",
    "steps.adding:TRIES": "how a client works",
    "steps.bulk:MAX_STALLS": "more are no limit",
    "face.reading:READ_S": "how a client works",
    "face.reading:AWAY_S": "how a client works",
    "lua/add:WIDTH": "the values of a job, which the page lists",
    "lua/add:FIRST": "the values before them, which the page lists",
    "lua/audit:LONGEST_NUMBER": "what a double holds",
    "lua/audit_index:STALE_MS": "how an audit paces itself",
    "lua/audit_kinds:WIDTH": "how an audit paces itself",
    "lua/include/birth:MAX_PRIORITY": "the same as in sandq/model/options.py",
    "lua/include/birth:MAX_DELAY_MS": "the same as in sandq/model/duration.py",
    "lua/include/birth:MAX_TIME_MS": "times of the next thousand years",
    "lua/include/gate:NO_LIMIT": "no queue is so long",
    "lua/include/history:MOST": "the same as in sandq/model/stored_options.py",
    "lua/include/keys:LAYOUT": "the same as in sandq/store/keys.py",
    "lua/include/move:MIDDLE": "told in the text, in hexadecimal",
    "lua/include/move:PLACE_LENGTH": "told in the text",
    "lua/include/move:RANK_LENGTH": "told in the text",
    "lua/include/settle:WIDTH": "the values of a settlement, which the page lists",
    "lua/include/tally:MINUTE_MS": "a minute",
    "lua/include/tally:POINTS": "the same as in sandq/model/queue_settings.py",
    "flow.telling:_OVERHEAD_BYTES": "how a supervisor works",
    "lua/report:FIRST": "the values before them, which the page lists",
    "lua/include/whereabouts:LEASE_MS": "how an audit paces itself",
    "lua/retry_many:PAGE": "how a script works",
}


# the same numbers where the text tells them; a change must come by here
PHRASES = {
    "storage": {
        "to about 10,000 entries": "lua/include/events:KEPT",
        "to the first 100 rows": "model.bounds:LOG_ROWS_FIRST",
        "the newest 900": "model.bounds:LOG_ROWS_NEWEST",
        "at most 1,000 of them": "model.bounds:EMITTED_KEPT",
        "at most 1 MiB": "model.bounds:EMITTED_BYTES",
        "every 0.2 s": "steps.follow:FOLLOW_EVERY_S",
        "newest 10, or": "lua/include/settle:FAILURES_KEPT",
        "to 1,440 minutes": "model.queue_settings:METRICS_POINTS",
        "60 s or more after its end": "lua/include/gate:WINDOW_KEPT_MS",
        "60 s after it was asked for": "lua/tend:KEPT_MS",
        "35 s after they were seen last": "flow.presence:KEPT_MS",
        "by a time to live: 35 s": "flow.presence:KEPT_MS",
        "35 s after its last word": "flow.presence:KEPT_MS",
        "every 10 s, and": "flow.presence:BEAT_EVERY_S",
        "within 1 s of a change": "flow.presence:LOOK_EVERY_S",
        "their ids, 100 at most": "flow.presence:JOBS_TOLD",
        "every 0.4 s while": "flow.heed:HEED_EVERY_S",
        "up to 100 of them at once": "lua/include/due:MOST_EXPIRED",
        "up to 1,000 jobs by one call": "lua/include/settle:MOST_PRUNED",
        "up to 64 KiB": "lua/include/settle:MOST_TOLD",
        "longer than 64 bytes": "lua/include/pieces:SIZE",
        "of exactly 64 bytes": "lua/include/pieces:SIZE",
        "up to 1,000 in one call": "model.building:JOBS_AT_ONCE",
        "at most 960 KiB": "model.payload:MAX_DATA_BYTES",
        "45 s by default": DEFAULTS.lease_ms + DEFAULTS.recover_ms,
        "for 5 s at most": "flow.claimer:IDLE_WAIT_S",
        "nesting deeper than 64": "model.payload:MAX_DEPTH",
        "longer than 100 years": "model.duration:MAX_MS",
    },
    "states": {
        "every 15 s": DEFAULTS.recover_ms,
        "for 5 s at most": "flow.slot:LONGEST_WAIT_MS",
    },
    "protocol": {
        "lived for 50 ms": "child.between:MIN_UPTIME_S",
        "The first 3 answers": "child.between:PROBATION_JOBS",
        "followed by 5 ms": "child.between:PROBATION_S",
        "The last 20 lines": "child.capture:TAIL_LINES",
        "cut at 2,000 characters": "child.capture:LINE_CHARACTERS",
        "more than 1 MiB": "child.capture:FLOOD_BYTES",
        "in 100 ms rests": "child.capture:FLOOD_S",
        "At most 1,000": "model.bounds:EMITTED_KEPT",
        "the grace is at most 1 s": "flow.supervisor:LAST_GRACE_S",
        "killed after 500 ms": "child.child:EOF_GRACE_S",
        "told to: 5 s": DEFAULTS.kill_grace_ms,
        "a pause of 100 ms": "child.health:FIRST_PAUSE_S",
        "doubles up to 30 s": "child.health:LONGEST_PAUSE_S",
        "after 3 failures": "child.health:UNHEALTHY_AFTER",
        "at most 1 MiB": "model.limits:DEFAULT_LINE_BYTES",
        "none | 65 |": death.EX_DATAERR,
    },
    "cli": {
        "again within 2 s": "cli.run:SAME_SIGNAL_S",
        "at least 100 ms": 100,
        "waited for 100 ms": "child.wear:GROW_AFTER_MS",
        "comes within 5 s": "child.children:HELD_MOST_S",
        "every 30 s whether": "child.upkeep:PING_EVERY_S",
        "does not answer within 5 s": "child.pulse:PONG_WITHIN_S",
    },
}
