"""Work on several cores with little waiting to be done: results in order, a bounded number in flight."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


_lock = threading.Lock()
_images_at_work = 0


@contextmanager
def at_work() -> Iterator[None]:
    """Count an image as being worked on, so that images that are imported at the same time share the cores."""
    global _images_at_work  # noqa: PLW0603  (a process has one set of cores)
    with _lock:
        _images_at_work += 1
    try:
        yield
    finally:
        with _lock:
            _images_at_work -= 1


def cores() -> int:
    """Processors for one image: those that this process may use, shared among the images at work."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(usable // max(_images_at_work, 1), 1)


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
