"""Files that appear whole or not at all, and the locks that keep two runs from making the same one.

A file is made in a scratch directory, ``<folder>/.cartloader/<name>.scratch``, and moved to its final name in one
step. The lock beside the scratch directory belongs to whoever works in it; the operating system releases it when that
process dies, however it dies. So a scratch directory whose lock is free is a dead run's, and the next run clears it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from cartloader_image.action_params import OutputPrefix
from cartloader_image.errors import DiskError

HIDDEN = ".cartloader"
"""The directory of locks and scratch inside each folder that is written to; it is gone when nobody works there."""

_ATTEMPTS = 1000
"""How often a lock is tried anew because its directory went away meanwhile; each time takes microseconds."""
_LOOK = 0.05
"""Seconds after which a lock that is free again, or that the run was stopped, is noticed."""

OnWait = AbstractContextManager[Callable[[], None]]
"""Lasts as long as a wait may; gives what is called again and again meanwhile, and ends the wait by what it raises."""


def workspace(out: OutputPrefix, on_wait: OnWait | None = None) -> AbstractContextManager[Path]:
    """Hold one image's outputs and give an empty scratch directory to make them in; it is removed on any way out.

    The output directory is created. Runs of the same image follow one another, in threads as in processes; a thread
    that asks again for what it holds waits for itself.

    Args:
        out: The image's output prefix.
        on_wait: What a wait for another run of this image is reported to.

    Raises:
        OSError: the output directory cannot be created or written to.
    """
    return _claim(out.out_dir, out.img_id, on_wait)


def locked(path: Path, on_wait: OnWait | None = None) -> AbstractContextManager[Path]:
    """Hold one file, whether it exists or not, and give an empty scratch directory to make its next version in.

    The file's directory is created. A file never collides with an image's `workspace`, whatever their names.

    Args:
        path: The file.
        on_wait: What a wait for somebody else who holds it is reported to.

    Raises:
        OSError: the directory cannot be created or written to.
    """
    # No image id starts with a dot.
    return _claim(path.parent, f".{path.name}", on_wait)


def publish(draft: Path, final: Path) -> None:
    """Give a finished file its final name in one step, after its bytes have reached the disk.

    A file that is replaced hands its permissions on.

    Raises:
        OSError: with the final name, for instance because that is a directory.
    """
    try:
        flush(draft)
        with suppress(FileNotFoundError):
            shutil.copymode(final, draft)
        draft.replace(final)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(final)) from error


def flush(path: Path) -> None:
    """Wait until a file's bytes have reached the disk; a second time costs nothing.

    Raises:
        OSError: the disk fails.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_whole(path: Path, text: str) -> None:
    """Write a small text file in UTF-8, whole or not at all; its line ends stay as they are.

    Raises:
        OSError: the file cannot be written.
    """
    with locked(path) as scratch:
        draft = scratch / path.name
        draft.write_bytes(text.encode())
        publish(draft, path)


def write_all(descriptor: int, data: NDArray[Any], start: int) -> None:
    """Write a contiguous array at a byte of an open file; safe from any thread.

    Raises:
        OSError: the disk is full or fails.
    """
    view = memoryview(data.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # numpy's arrays are buffers
    while view:
        done = os.pwrite(descriptor, view, start)
        view, start = view[done:], start + done


def read_all(descriptor: int, data: NDArray[Any], start: int) -> None:
    """Fill a contiguous array from a byte of an open file on; safe from any thread.

    Raises:
        OSError: the file is shorter.
    """
    view = memoryview(data.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # numpy's arrays are buffers
    while view:
        done = os.preadv(descriptor, [view], start)
        if not done:
            raise OSError(f"a scratch file ends before byte {start + len(view):,}")
        view, start = view[done:], start + done


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _claim(folder: Path, name: str, on_wait: OnWait | None) -> Iterator[Path]:
    hidden = folder / HIDDEN
    lock = _acquire(hidden / f"{name}.lock", on_wait)
    try:
        scratch = hidden / f"{name}.scratch"
        if scratch.exists():
            shutil.rmtree(scratch)
        _clear_dead_runs(hidden)
        scratch.mkdir()
        yield scratch
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskError(f"{folder}: the disk is full; make room or choose another directory") from error
        raise
    finally:
        _remove(hidden, name)
        lock.release()
        with suppress(OSError):  # somebody else works there
            hidden.rmdir()


def _acquire(path: Path, on_wait: OnWait | None) -> FileLock:
    """The lock, held.

    Whoever ends last removes the directory, so it can go away between its creation and that of the lock in it.
    """
    lock = FileLock(path)
    with on_wait or nullcontext(lambda: None) as wait:

        def goes_on() -> bool:
            wait()
            return False

        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError, FileExistsError):
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    lock.acquire(poll_interval=_LOOK, cancel_check=goes_on)
                return lock
    lock.acquire()
    return lock


def _clear_dead_runs(hidden: Path) -> None:
    for name in {entry.stem for entry in hidden.iterdir() if entry.suffix in {".lock", ".scratch"}}:
        lock = FileLock(hidden / f"{name}.lock")
        with suppress(OSError):  # a living run holds it, or it is another user's
            lock.acquire(blocking=False)
            _remove(hidden, name)
            lock.release()


def _remove(hidden: Path, name: str) -> None:
    """Remove a scratch directory and its lock file, whose lock must be held.

    Unlinking a lock file that is held is safe because `filelock` refuses a lock on a file that has lost its name: who
    waited for the old file starts over with the new one.
    """
    shutil.rmtree(hidden / f"{name}.scratch", ignore_errors=True)
    with suppress(OSError):
        (hidden / f"{name}.lock").unlink()
