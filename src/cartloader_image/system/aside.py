"""Work that a signal cannot interrupt: it is done in a thread of its own, while the one that wants it waits.

Python lets a signal interrupt the main thread between any two steps, and no other. The two wait for each other by bare
locks, each of them one step: whatever Python has above them may be interrupted while it holds one, and then all hang.
A wait that is interrupted itself is made up for before the process ends.
"""

from __future__ import annotations

import atexit
import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")

_at_work: list[tuple[threading.Lock, threading.Lock]] = []
"""For each work that has begun and not ended: what it waits for, and what its end is waited for by."""


@contextmanager
def aside(work: Callable[[Callable[[T], None], threading.Lock], None]) -> Iterator[T]:
    """What a work says, once it has said it; at the end of the context, or when it is interrupted, the work ends.

    It sees the context variables of whoever wants it.

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
        _at_work.append((over, ended))
        try:
            work(say, over)
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            failed.append(error)
        finally:
            _at_work.remove((over, ended))
            ended.release()
            with suppress(RuntimeError):  # it has said something
                ready.release()

    begin = copy_context().run  # here, as no signal may come between the next line and the start of the thread
    try:
        start_new_thread(begin, (do,))
        ready.acquire()
        if not said:
            raise failed[0]
        yield said[0]
    finally:
        over.release()
        _wait(ended)


@atexit.register
def _end_all() -> None:
    for over, ended in tuple(_at_work):
        with suppress(RuntimeError):  # it was told before
            over.release()
        _wait(ended)


def _wait(ended: threading.Lock) -> None:
    """Wait until a work has ended, as may others."""
    ended.acquire()
    ended.release()


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock
