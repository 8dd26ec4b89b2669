"""Work on several cores with little waiting to be done: results in order, a bounded number in flight."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


class Count(Protocol):
    """A number that threads, or processes, change in turn."""

    value: int

    def get_lock(self) -> AbstractContextManager[Any]:
        """What is held while it is changed."""


class _OfThisProcess:
    def __init__(self) -> None:
        self.value, self._lock = 0, threading.Lock()

    def get_lock(self) -> AbstractContextManager[Any]:
        return self._lock


_images_at_work: Count = _OfThisProcess()


def share_cores(images_at_work: Count) -> None:
    """Count images together with other processes, so that those of all of them share the cores."""
    global _images_at_work  # noqa: PLW0603  (a process has one set of cores)
    _images_at_work = images_at_work


@contextmanager
def at_work() -> Iterator[None]:
    """Count an image as being worked on, so that images that are imported at the same time share the cores."""
    count = _images_at_work
    with count.get_lock():
        count.value += 1
    try:
        yield
    finally:
        with count.get_lock():
            count.value -= 1


def cores() -> int:
    """Processors for one image: those that this process may use, shared among the images at work."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(usable // max(_images_at_work.value, 1), 1)


def in_order(work: Callable[[Item], Value], items: Iterable[Item], threads: int) -> Iterator[Value]:
    """The values of ``work`` for all items, in their order, computed by ``threads`` threads.

    Items are drawn in the calling thread, one at a time and only as far ahead as the threads can use, so that an
    iterator may read a file from the top. An exception of ``work`` comes out here; what has not begun is dropped.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Value]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
