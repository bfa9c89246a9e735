"""Where one slot of a Redis Cluster is, and what is sent there. Sends nothing itself."""

from collections.abc import Sequence
from typing import Any

from redis import exceptions
from redis.crc import key_slot

from sandq.store.url import Address

Words = tuple[Any, ...]


class Slot:
    """What is known of one slot. `key` is any key in it, `seeds` are nodes to ask at first."""

    def __init__(self, key: str, seeds: Sequence[Address]) -> None:
        self._number = key_slot(key.encode())
        #: A key of the slot that never exists. While a slot is on the move its keys are on two
        #: nodes: a script would see half of the queue, and break off in the middle where it
        #: touches a key of the other half. A script that names a key which is nowhere is refused
        #: by both nodes until the move is over.
        self.fence = key + "never"
        #: The node that has the slot; None while that is not known.
        self.at: Address | None = None
        #: The nodes of the cluster, and those of them that have slots of their own.
        self.nodes: list[Address] = []
        self.primaries: list[Address] = []
        self._seeds = seeds
        self._silent: set[Address] = set()

    def to_ask(self) -> list[Address]:
        """The nodes that may know where the slot is; those that failed us come last."""
        nodes = dict.fromkeys((*self.nodes, *self._seeds))

        return sorted(nodes, key=self._silent.__contains__)

    def learn(self, reply: list[Any], told_by: Address) -> None:
        """Take over a reply of CLUSTER SLOTS. Raises ClusterDownError if no node has the slot."""
        self._silent.discard(told_by)
        at: Address | None = None
        nodes, primaries = [], []
        for first, last, *servers in reply:
            there = [(_host(server[0], told_by), int(server[1])) for server in servers]
            nodes += there
            primaries.append(there[0])
            if first <= self._number <= last:
                at = there[0]
        if at is None:
            raise exceptions.ClusterDownError(f"no node has slot {self._number}")

        self.at, self.nodes, self.primaries = at, nodes, primaries

    def lose(self, node: Address) -> None:
        """`node` does not answer, or is not what it was."""
        self._silent.add(node)
        if self.at == node:
            self.at = None

    def sent_on(self, error: exceptions.AskError, node: Address) -> Address | None:
        """What a refusal of `node` comes to: another node for this call alone, or, with None,
        another node for good."""
        other = (_host(error.host, node), error.port)
        if isinstance(error, exceptions.MovedError):
            self.at = other
            return None

        return other

    def prepared(self, words: Words, node: Address, asking: bool) -> tuple[Words | None, Words]:
        """What is sent to `node` instead of `words`: a command to go before, if any, and it."""
        if words[0] == "SCAN":
            # without a key a node does not notice that it is the wrong one; and a cursor is good
            # on the node it came from only
            cursor, _, of = str(words[1]).partition("@")
            words = ("SCAN", cursor if of == _name(node) else 0, *words[2:])
            return ("EXISTS", self.fence), words

        if words[0] in ("EVAL", "EVALSHA"):
            end = 3 + words[2]
            words = (*words[:2], words[2] + 1, *words[3:end], self.fence, *words[end:])

        return ("ASKING",) if asking else None, words

    def read(self, replies: Sequence[Any], words: Words, node: Address) -> Any:
        """The reply to `words`, the last of two commands. Raises what either was refused with."""
        is_scan = words[0] == "SCAN"
        for reply in replies:
            if is_scan and type(reply) is exceptions.AskError:
                raise exceptions.TryAgainError(f"slot {self._number} is on the move")
            if isinstance(reply, Exception):
                raise reply
        if not is_scan:
            return replies[1]

        cursor, keys = replies[1]

        return (f"{cursor}@{_name(node)}" if cursor else 0), keys

    def not_found(self) -> exceptions.ClusterDownError:
        """The error when every node sends a call on to another."""
        return exceptions.ClusterDownError(f"the nodes disagree about slot {self._number}")


def worse(known: Exception | None, new: Exception) -> Exception:
    """Which of two errors tells more: what a node said, rather than that it said nothing."""
    said = (exceptions.AuthenticationError, exceptions.ResponseError)

    return known if isinstance(known, said) else new


def _host(told: bytes | str | None, told_by: Address) -> str:
    """A host as a node names it; one that does not know its own name is where it was reached."""
    host = told.decode() if isinstance(told, bytes) else told

    return told_by[0] if host in (None, "", "?") else host


def _name(node: Address) -> str:
    return f"{node[0]}:{node[1]}"
