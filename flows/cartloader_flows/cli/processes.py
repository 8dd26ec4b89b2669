"""Images in processes of their own, so that Python's lock keeps none waiting for another one."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from typing import Any

from cartloader_flows.cli.signals import STOPPING, stopping
from cartloader_image.errors import CartloaderError, StoppedError, ToolError, sentence
from cartloader_image.recipe.job import ImageJob
from cartloader_image.recipe.run import import_one
from cartloader_image.report import Report, Stage
from cartloader_image.results import ImageResult
from cartloader_image.system.memory import keep_freed_memory
from cartloader_image.system.parallel import share_cores

_TICK = 0.05
"""Seconds between two looks at what processes say, and between two words of progress of one image."""


@contextmanager
def processes(count: int, report: Callable[[str], Report]) -> Iterator[Callable[[ImageJob], Callable[[], ImageResult]]]:
    """Work on at most ``count`` images at a time; gives what has one worked on, and that what waits for its result."""
    context = get_context("spawn")  # a copy of this process would have its threads' locks, and not the threads
    stopped, said, over = context.RawValue("b", 0), context.SimpleQueue(), threading.Event()
    failed = list[OSError]()

    def stop() -> None:
        stopped.value = 1

    def listen() -> None:
        """Hear all, also when nobody can be told any more: processes would wait for ever to be heard."""
        while not (over.is_set() and said.empty()):
            if said.empty():
                over.wait(_TICK)
                continue
            img_id, what, arguments = said.get()
            try:
                getattr(report(img_id), what)(*arguments)
            except OSError as error:  # the end of a pipe that somebody closed
                if not failed:
                    failed.append(error)
                stop()

    listener = threading.Thread(target=listen, name="listener", daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(count, context, _begin, (stopped, context.Value("i", 0), said))
    try:
        with stopping(stop):
            yield lambda job: _Attempt(pool, job)
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        over.set()
        listener.join(1)
        if failed:
            raise failed[0]


class _Attempt:
    """An image that is being worked on."""

    def __init__(self, pool: ProcessPoolExecutor, job: ImageJob) -> None:
        self._future = pool.submit(_import, job)

    def __call__(self) -> ImageResult:
        try:
            result = self._future.result()
        except BrokenProcessPool:
            raise ToolError(
                "a process died that worked on images; is the memory enough? import fewer at a time (--n-jobs)"
            ) from None
        if isinstance(result, Exception):
            raise result
        return result


@dataclass
class _Report:
    """The `Report` of an image in one of the processes, which tells it to the one that was started."""

    img_id: str
    _latest: dict[Stage, float] = field(default_factory=dict)

    def check(self) -> None:
        if _stopped.value:
            raise StoppedError("interrupted")

    def describe(self, text: str) -> None:
        _said.put((self.img_id, "describe", (text,)))

    def progress(self, stage: Stage, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now > self._latest.get(stage, 0.0) + _TICK:
            self._latest[stage] = now
            _said.put((self.img_id, "progress", (stage, done, total)))

    def note(self, text: str) -> None:
        _said.put((self.img_id, "note", (text,)))

    def detail(self, text: str) -> None:
        _said.put((self.img_id, "detail", (text,)))


_stopped: Any
_said: Any


def _begin(stopped: Any, images_at_work: Any, said: Any) -> None:
    """Prepare a new process."""
    global _stopped, _said
    _stopped, _said = stopped, said
    for number in STOPPING:  # a terminal sends them to all processes; the one that was started tells the others
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    share_cores(images_at_work)


def _end_with_parent() -> None:
    """End at once where nobody waits any more."""
    parent = parent_process()
    assert parent is not None, "that is what started this"
    parent.join()
    os._exit(1)


def _import(job: ImageJob) -> ImageResult | Exception:
    """The result of an image, or what went wrong."""
    try:
        return import_one(job, _Report(job.out.img_id))
    except Exception as error:  # noqa: BLE001  (see the end of `gather`)
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301  (our own)
        except Exception:  # noqa: BLE001  (whatever it carries with it)
            return CartloaderError(sentence(error, job.out.img_id))
        return error
