"""The plan of the pool: which children to start and which to let go."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandq.child.plan import Line, Replace, Retire, Start, plan, warm_shares

SMALL = st.integers(0, 4)
LINES = st.lists(
    st.builds(
        Line,
        idle=SMALL,
        busy=SMALL,
        starting=SMALL,
        wanted=st.integers(0, 6),
        warm=SMALL,
        may_start=st.booleans(),
        held=st.integers(0, 2),
        worn=st.integers(0, 2),
        worn_since_s=st.floats(0, 9),
        idle_since_s=st.floats(0, 9),
        single_use=st.booleans(),
    ),
    max_size=4,
)
ENDING = st.integers(0, 4)
ROOM = st.integers(0, 8)

TABLE = {
    "nothing is wanted": ([Line()], 4, 0, []),
    "no handlers at all": ([], 4, 0, []),
    "who waits gets a new child": ([Line(wanted=1)], 4, 0, [Start(0)]),
    "each who waits gets one": ([Line(wanted=3)], 4, 0, [Start(0)] * 3),
    "never more than the size": ([Line(wanted=9)], 4, 0, [Start(0)] * 4),
    "those at work count": ([Line(busy=3, wanted=2)], 4, 0, [Start(0)]),
    "those that start count": ([Line(starting=1, wanted=3)], 2, 0, [Start(0)]),
    "those that end count": ([Line(wanted=2)], 4, 3, [Start(0)]),
    "one on its way is not started twice": ([Line(starting=2, wanted=2)], 9, 0, []),
    "more on their way than wanted": ([Line(starting=3, wanted=1)], 9, 0, []),
    "no room, nobody idle: wait": ([Line(busy=1), Line(wanted=1)], 1, 0, []),
    "no room: another's idle child gives way": (
        [Line(idle=1), Line(wanted=1)],
        1,
        0,
        [Retire(0)],
    ),
    "only as many give way as are needed": (
        [Line(idle=3), Line(wanted=2)],
        3,
        0,
        [Retire(0)] * 2,
    ),
    "who ends already makes room": ([Line(idle=2), Line(wanted=1)], 3, 1, []),
    "one ends, two wait: one more gives way": (
        [Line(idle=2), Line(wanted=2)],
        3,
        1,
        [Retire(0)],
    ),
    "an idle child of who waits does not give way": (
        [Line(idle=1, wanted=1), Line(wanted=1)],
        1,
        0,
        [],
    ),
    "part by room, part by giving way": (
        [Line(idle=1, busy=1), Line(wanted=2)],
        3,
        0,
        [Start(1), Retire(0)],
    ),
    "several give way": (
        [Line(idle=1), Line(idle=1), Line(wanted=2)],
        2,
        0,
        [Retire(0), Retire(1)],
    ),
    "warm children fill the room": ([Line(warm=2)], 4, 0, [Start(0)] * 2),
    "warm children in turn": (
        [Line(warm=2), Line(warm=1)],
        4,
        0,
        [Start(0), Start(1), Start(0)],
    ),
    "warm children as far as there is room": (
        [Line(warm=2), Line(warm=2)],
        3,
        0,
        [Start(0), Start(1), Start(0)],
    ),
    "every child that lives counts as warm": (
        [Line(idle=1, busy=1, starting=1, warm=3)],
        9,
        0,
        [],
    ),
    "who waits comes before warm": ([Line(warm=2), Line(wanted=1)], 2, 0, [Start(1), Start(0)]),
    "a child for who waits is a warm one too": ([Line(wanted=1, warm=1)], 4, 0, [Start(0)]),
    "no warm child while one gives way": (
        [Line(idle=1), Line(wanted=1, warm=1)],
        1,
        0,
        [Retire(0)],
    ),
    "who backs off starts none": ([Line(wanted=2, warm=2, may_start=False)], 4, 0, []),
    "nobody gives way for who backs off": (
        [Line(idle=1), Line(wanted=1, may_start=False)],
        1,
        0,
        [],
    ),
    "who backs off leaves its room to others": (
        [Line(wanted=1, warm=1, may_start=False), Line(warm=2)],
        2,
        0,
        [Start(1)] * 2,
    ),
    "an idle child gives way though its handler backs off": (
        [Line(idle=1, may_start=False), Line(wanted=1)],
        1,
        0,
        [Retire(0)],
    ),
    "too many alive: nothing starts": ([Line(busy=5, wanted=1, warm=9)], 4, 0, []),
    "one too many: two give way for one who waits": (
        [Line(idle=2), Line(wanted=1)],
        1,
        0,
        [Retire(0)] * 2,
    ),
    "those give way first that were used longest ago": (
        [Line(idle=1, idle_since_s=5.0), Line(idle=1, idle_since_s=2.0), Line(wanted=1)],
        2,
        0,
        [Retire(1)],
    ),
    "who waits for a last job to be lent gets no other child": (
        [Line(held=1, worn=1, wanted=1)],
        1,
        0,
        [Replace(0)],
    ),
    "a held child gives way as well": ([Line(held=1, worn=1), Line(wanted=1)], 1, 0, [Retire(0)]),
    "a worn child gets a successor beyond the size": ([Line(idle=2, worn=1)], 2, 0, [Replace(0)]),
    "never two beyond the size": ([Line(idle=3, worn=1)], 2, 0, []),
    "one at a time": ([Line(idle=2, worn=2)], 4, 0, [Replace(0)]),
    "who ends counts for successors too": ([Line(idle=2, worn=1)], 2, 1, []),
    "the one worn longest comes first": (
        [Line(idle=1, worn=1, worn_since_s=5.0), Line(idle=1, worn=1, worn_since_s=2.0)],
        2,
        0,
        [Replace(1)],
    ),
    "no successor while its handler backs off": ([Line(idle=1, worn=1, may_start=False)], 1, 0, []),
    "no successor for a child that nobody needs while others wait": (
        [Line(busy=1, worn=1), Line(wanted=1)],
        1,
        0,
        [],
    ),
}

# lines, how many warm children there may be now, most, ending -> steps
GROWING = {
    "warm children are not kept beyond the size": ([Line(warm=9)], 2, 4, 0, [Start(0)] * 2),
    "who waits for a child that will come back waits": ([Line(busy=2, wanted=2)], 2, 4, 0, []),
    "who has no child to wait for gets one": (
        [Line(busy=2), Line(wanted=1)],
        2,
        4,
        0,
        [Start(1)],
    ),
    "but never beyond the most": ([Line(busy=4), Line(wanted=1)], 2, 4, 0, []),
    "an idle child gives way before there are more": (
        [Line(idle=1), Line(busy=1, wanted=1)],
        2,
        4,
        0,
        [Retire(0)],
    ),
    "one-shot children have all the room": (
        [Line(fresh=True, busy=1, wanted=2), Line(idle=1)],
        1,
        4,
        0,
        [Start(0)] * 2,
    ),
    "who waits for a child that serves one job does not wait for a busy one": (
        [Line(single_use=True, busy=2, wanted=1)],
        2,
        4,
        0,
        [Start(0)],
    ),
    "but for one that is being started": (
        [Line(single_use=True, busy=1, starting=1, wanted=1)],
        2,
        4,
        0,
        [],
    ),
    "a child that has served its one job is replaced": (
        [Line(single_use=True, idle=1, busy=2, warm=4)],
        4,
        4,
        0,
        [Start(0)],
    ),
    "when it is gone": ([Line(single_use=True, idle=1, busy=2, warm=4)], 4, 4, 1, []),
    "one-shot children take no room from warm ones": (
        [Line(fresh=True, busy=2), Line(warm=1)],
        1,
        4,
        0,
        [Start(1)],
    ),
}


def alive(line):
    return line.idle + line.held + line.busy + line.starting


def occupied(lines, ending):
    return ending + sum(alive(line) for line in lines)


def missing(lines):
    """How many children each handler that may start lacks for those who wait."""
    return {
        number: max(line.wanted - line.starting - line.held, 0)
        for number, line in enumerate(lines)
        if line.may_start
    }


@pytest.mark.parametrize(("lines", "size", "ending", "steps"), TABLE.values(), ids=TABLE)
def test_the_plan_is_this_table(lines, size, ending, steps):
    assert plan(lines, size, ending) == steps


@pytest.mark.parametrize(
    ("lines", "size", "most", "ending", "steps"), GROWING.values(), ids=GROWING
)
def test_a_growing_pool_is_planned_by_this_table(lines, size, most, ending, steps):
    assert plan(lines, size, ending, most=most) == steps


@given(LINES, st.integers(0, 20), ENDING, st.booleans())
def test_a_plan_never_puts_more_alive_than_the_size_and_one_successor(
    lines, size, ending, replacing
):
    before = occupied(lines, ending)
    steps = plan(lines, size, ending, replacing=replacing)
    starts = sum(isinstance(step, Start) for step in steps)
    successors = sum(isinstance(step, Replace) for step in steps)

    assert starts == 0 or before + starts <= size
    assert successors <= (0 if replacing else 1)
    assert successors == 0 or before + starts + successors <= size + 1


@given(LINES, st.integers(0, 20), ENDING)
def test_only_worn_children_get_successors(lines, size, ending):
    for step in plan(lines, size, ending):
        assert not isinstance(step, Replace) or lines[step.line].worn


@given(LINES, st.integers(0, 9), st.integers(0, 9), ENDING)
def test_warm_children_are_not_kept_beyond_the_size_of_now(lines, size, more, ending):
    lines = [replace(line, wanted=0) for line in lines]
    before = occupied(lines, ending)
    starts = [s for s in plan(lines, size, ending, most=size + more) if isinstance(s, Start)]

    assert not starts or before + len(starts) <= size


@given(LINES, st.integers(0, 20), ENDING)
def test_a_plan_starts_nothing_for_who_may_not_start(lines, size, ending):
    for step in plan(lines, size, ending):
        assert isinstance(step, Retire) or lines[step.line].may_start


@given(LINES, st.integers(0, 20), ENDING)
def test_a_plan_lets_go_only_idle_children_that_nobody_waits_for(lines, size, ending):
    retired = [step.line for step in plan(lines, size, ending) if isinstance(step, Retire)]

    for number in set(retired):
        assert lines[number].wanted == 0
        assert retired.count(number) <= lines[number].idle + lines[number].held


@given(LINES, st.integers(0, 20), ENDING)
def test_a_plan_lets_go_as_many_children_as_wait_without_a_place(lines, size, ending):
    steps = plan(lines, size, ending)
    starts = [step.line for step in steps if isinstance(step, Start)]
    waiting = missing(lines)
    unmet = sum(count - min(starts.count(number), count) for number, count in waiting.items())
    idle = sum(line.idle + line.held for line in lines if line.wanted == 0)
    added = sum(not isinstance(step, Retire) for step in steps)
    beyond = max(occupied(lines, ending) + added - size, 0)
    retired = sum(isinstance(step, Retire) for step in steps)

    assert retired == (min(max(unmet + beyond - ending, 0), idle) if unmet else 0)


@given(LINES, ENDING, ROOM)
def test_who_waits_is_served_before_children_are_kept_warm(lines, ending, room):
    steps = plan(lines, occupied(lines, ending) + room, ending)
    waiting = missing(lines)
    needed = min(room, sum(waiting.values()))
    first = [step.line for step in steps if isinstance(step, Start)][:needed]

    assert len(first) == needed
    assert all(first.count(number) <= waiting[number] for number in first)


@given(LINES, ENDING, ROOM)
def test_room_is_left_only_when_nobody_can_use_it(lines, ending, room):
    steps = plan(lines, occupied(lines, ending) + room, ending)
    starts = [step.line for step in steps if isinstance(step, Start)]

    if len(starts) < room:
        for number, line in enumerate(lines):
            if line.may_start:
                assert line.starting + line.held + starts.count(number) >= line.wanted
                assert alive(line) + starts.count(number) >= line.warm


@given(LINES, ENDING, ROOM)
def test_a_plan_carried_out_leaves_nothing_more_to_plan(lines, ending, room):
    size = occupied(lines, ending) + room
    steps = plan(lines, size, ending)
    replacing = any(isinstance(step, Replace) for step in steps)
    lines, ending = carry_out(lines, ending, steps)

    assert plan(lines, size, ending, replacing=replacing) == []


def carry_out(lines, ending, steps):
    """The lines after these steps: what is started starts, what is retired is ending."""
    lines = list(lines)
    for step in steps:
        line = lines[step.line]
        if isinstance(step, Start):
            lines[step.line] = replace(line, starting=line.starting + 1)
        elif isinstance(step, Replace):
            lines[step.line] = replace(line, starting=line.starting + 1, worn=line.worn - 1)
        else:
            held = min(line.held, 1)
            lines[step.line] = replace(line, held=line.held - held, idle=line.idle - 1 + held)
            ending += 1

    return lines, ending


def live_on(line):
    """A moment later: what was starting is there, jobs have ended, who waits has been served."""
    free = line.idle + line.busy + line.starting
    busy = min(free, line.wanted)

    return replace(line, idle=free - busy, busy=busy, starting=0, wanted=line.wanted - busy)


@given(LINES.filter(bool), st.integers(1, 8))
def test_everybody_who_waits_is_served_in_the_end(lines, size):
    lines = [Line(wanted=line.wanted, warm=line.warm, may_start=line.may_start) for line in lines]
    ending = 0
    for _ in range(2 * sum(line.wanted for line in lines) + len(lines) + 1):
        lines, ending = carry_out(lines, ending, plan(lines, size, ending))
        assert occupied(lines, ending) <= size
        lines, ending = [live_on(line) for line in lines], 0

    assert [line.wanted for line in lines if line.may_start] == [
        0 for line in lines if line.may_start
    ]


@given(st.lists(st.builds(Line, warm=SMALL), max_size=4), st.integers(0, 8))
def test_without_work_the_pool_comes_to_rest(lines, size):
    lines, ending = carry_out(lines, 0, plan(lines, size, 0))
    lines = [live_on(line) for line in lines]

    assert plan(lines, size, ending) == []


@given(st.integers(0, 50), st.integers(0, 9))
def test_warm_shares_are_as_even_as_can_be(size, handlers):
    shares = warm_shares(size, handlers)

    assert len(shares) == handlers
    assert sum(shares) == (size if handlers else 0)
    assert shares == sorted(shares, reverse=True)
    assert not shares or max(shares) - min(shares) <= 1
