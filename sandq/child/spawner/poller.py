"""What is waited for, and what is done when it comes."""

import select
from collections.abc import Callable


class Poller:
    """Descriptors, and a step for each."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._steps: dict[int, Callable[[], None]] = {}

    def hear(self, fd: int, events: int, step: Callable[[], None]) -> None:
        """Have a step done whenever a descriptor is ready."""
        self._steps[fd] = step
        self._poll.register(fd, events)

    def forget(self, fd: int) -> None:
        """Hear no more of a descriptor."""
        if self._steps.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def turn(self, timeout_s: float | None) -> None:
        """Wait for something to happen, and do what is to be done about it."""
        ready = self._poll.poll(None if timeout_s is None else timeout_s * 1000)
        for fd, step in [(fd, self._steps[fd]) for fd, _ in ready]:
            # what came before may have closed it, and its number may be another's now
            if self._steps.get(fd) is step:
                step()
