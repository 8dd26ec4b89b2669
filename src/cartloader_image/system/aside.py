"""Work that a signal cannot interrupt: it is done in a thread of its own, while the one that wants it waits.

Python lets a signal interrupt the main thread between any two steps, and no other. The two wait for each other by bare
locks, each of them one step: whatever Python has above them may be interrupted while it holds one, and then all hang.
"""

from __future__ import annotations

import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def aside(work: Callable[[Callable[[T], None], threading.Lock], None]) -> Iterator[T]:
    """What a work says, once it has said it; at the end of the context, or when it is interrupted, the work ends.

    Args:
        work: Calls the first thing that it gets with what there is to say, once. The second one is locked until the
            work should end.

    Raises:
        BaseException: what the work raises before it has said anything.
    """
    ready, over, ended = _taken(), _taken(), _taken()
    said: list[T] = []
    failed: list[BaseException] = []

    def say(what: T) -> None:
        said.append(what)
        ready.release()

    def do() -> None:
        try:
            work(say, over)
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            failed.append(error)
        finally:
            ended.release()
            with suppress(RuntimeError):  # it has said something
                ready.release()

    try:
        start_new_thread(do, ())
        ready.acquire()
        if not said:
            raise failed[0]
        yield said[0]
    finally:
        over.release()
        ended.acquire()


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock
