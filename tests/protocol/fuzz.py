"""Any bytes whatever, cut anywhere: what the reader and the machine must do with them.

`check` is what is demanded of one input; tests/protocol/test_corpus.py does so for the inputs that
are kept in corpus/. To look for more of them:

    pip install atheris
    python -m tests.protocol.fuzz FOLDER -max_total_time=3600
"""

import sys

from sandq.protocol.machine import Conversation, Spoiled, State
from sandq.protocol.messages import Answer, Noise

LIMIT = 200


def check(data):
    """The first two bytes say how the rest is read: strictly or not, lent to or not, cut where."""
    if len(data) < 2:
        return

    strict, lend, size = data[0] & 1, data[0] & 2, data[1] % 40 + 1
    stream = data[2:]
    whole = _told(stream, strict, lend, len(stream) + 1)
    cut = _told(stream, strict, lend, size)

    assert whole == cut, (whole, cut)


def _told(stream, strict, lend, size):
    conversation = Conversation(LIMIT, strict=bool(strict))
    if lend:
        conversation.lend("7")
    events = []
    for at in range(0, len(stream), size):
        before = conversation.state
        told = conversation.receive(stream[at : at + size])
        events += told
        _fit(before, conversation, told)
    events += conversation.end_of_stream()

    # an event is a value: its words tell two of them apart
    return [repr(event) for event in events], conversation.state, conversation.full


def _fit(before, conversation, told):
    kinds = [type(event) for event in told]
    assert kinds.count(Answer) <= (before is State.BUSY)
    assert Spoiled not in kinds[:-1]
    assert before is not State.SPOILED or not told
    assert Spoiled not in kinds or conversation.state is State.SPOILED
    if conversation.noise is None:
        assert Noise not in kinds


def main():
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
