"""The signals that ask the command to end: Ctrl-C, the request of a system, a closed terminal.

They end its work, however far it is. Once the work is done they change nothing: its exit code stands.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_stops: list[Callable[[], None]] = []
_is_done = False
_is_held = False
_held: list[int] = []


@contextmanager
def heard(*, for_good: bool) -> Iterator[None]:
    """Let the signals interrupt the work that is done here; afterwards they are as they were or, ``for_good``, ignored.

    (Python gives back the handlers that it has some time before a process ends, which a signal then kills.) What the
    caller wants ignored, as nohup does, stays so.
    """
    global _is_done  # noqa: PLW0603  (signals are the process's)
    _is_done = False
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        for number in STOPPING:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, _answer)
        yield
    finally:
        _is_done = True
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if for_good else handler)


@contextmanager
def held() -> Iterator[None]:
    """Let signals wait for the end of this: an interrupted import may end in any error, or in a panic of its own."""
    global _is_held  # noqa: PLW0603  (see above)
    _is_held = True
    try:
        yield
    finally:
        _is_held = False
        if _held:
            _answer(_held.pop(), None)


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Let a signal call this as well, which ends what other threads do."""
    _stops.append(stop)
    try:
        yield
    finally:
        _stops.remove(stop)


def work_is_done() -> None:
    """From now on signals come too late."""
    global _is_done  # noqa: PLW0603  (see above)
    _is_done = True


def _answer(number: int, frame: FrameType | None) -> None:
    if _is_done:
        return
    if _is_held:
        _held[:] = [number]
        return
    for stop in _stops:
        stop()
    signal.default_int_handler(number, frame)
