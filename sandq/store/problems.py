"""What an audit may find: each problem, what it means, and what a repair makes of it.

The scripts of the audit (sandq/lua/audit*.lua) use these words, and no others.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A broken invariant: what it means for the queue, and what is done about it."""

    meaning: str
    repair: str


#: Word -> the problem. The words are stable.
PROBLEMS: dict[str, Problem] = {
    # where a job is
    "dangling": Problem("a set of states names a job that is gone", "the entry goes"),
    "stuck": Problem(
        "a job is in no set, so nobody will ever run, show or remove it",
        "it goes to the set its state names; one that was being run gets a new lease",
    ),
    "state_differs": Problem(
        "a job says another state than the set it is in",
        "what has ended stays ended; else the job goes on where it is",
    ),
    "in_two_places": Problem(
        "a job has two entries in the sets of states, and may be run twice",
        "one is kept: that of its state if there is one; what has ended is not done again",
    ),
    "place_differs": Problem(
        "a job's entry is not of its place, group or priority", "it gets the right entry"
    ),
    "parked_without_group": Problem(
        "a job waits for its group, and has none", "it goes to waiting"
    ),
    # what a job says
    "malformed": Problem(
        "fields that every job has are missing, or cannot be read",
        "they are made anew or dropped; a job without name or data is removed",
    ),
    "rank_differs": Problem("a job waits at another rank than its priority's", "it gets its rank"),
    "due_differs": Problem(
        "a delayed job says another time than the one at which it will start",
        "it says when it will start",
    ),
    "finished_differs": Problem(
        "an ended job says another time than the one it is kept under, or none",
        "it is kept under the time it says, or says the one it is kept under",
    ),
    "no_kind": Problem(
        "a failed job does not say how it failed", "it is told from its failure record, or error"
    ),
    "no_token": Problem(
        "a job is under a claim without a token, which nobody can settle",
        "it goes back to waiting at its place",
    ),
    "unmarked": Problem(
        "a job has a group, tags or the like, and scripts do not look for them", "it is marked"
    ),
    # the indexes of jobs
    "tag_missing": Problem("a job is not found by one of its tags", "it is found again"),
    "tag_dangling": Problem("a tag finds a job that is gone or does not bear it", "the entry goes"),
    "dedup_lost": Problem(
        "a dedup key is free though its job has not ended, so another may be added",
        "the job gets its key back",
    ),
    "dedup_wrong": Problem(
        "a dedup key is held by a job without a right to it, so no other may be added",
        "the key goes, or to the job whose it is",
    ),
    "expiry_missing": Problem("a job would not expire when it should", "it will"),
    "expiry_dangling": Problem("something is to expire that is gone", "the entry goes"),
    "cancel_untold": Problem(
        "a running job is cancelled, and its supervisor does not hear of it", "it is told"
    ),
    "cancelling_stale": Problem(
        "supervisors are asked to stop a job that is not running", "the entry goes"
    ),
    "left_behind": Problem(
        "a log, failure records or parts of the result of a job that is gone", "they go"
    ),
    # series
    "series_dangling": Problem("a series is due one day, and nothing says what it is", "it goes"),
    "series_stopped": Problem(
        "a series is not among those that are due, so nobody makes its jobs",
        "it is due now and goes on; one that cannot be read goes",
    ),
    "series_unmade": Problem(
        "the next job of a series was removed",
        "none is needed: that one is left out, and the series goes on when it would be due",
    ),
    # the queue
    "groups_differ": Problem(
        "a group is held to have more or fewer active jobs than it has", "the counter is put right"
    ),
    "kinds_differ": Problem(
        "more or fewer jobs are held to have failed in a way than did", "the counter is put right"
    ),
    "counter_behind": Problem(
        "a counter would give numbers again that jobs have: a new job could overwrite an old one",
        "it goes on after them",
    ),
    "layout_missing": Problem("the layout of the data is not told", "it is told"),
    "bell_crowded": Problem("the bell holds more than one element", "one is kept"),
    "lasting": Problem(
        "a key of a limit or a supervisor has no time to live",
        "it goes; who needs it makes it anew",
    ),
}
