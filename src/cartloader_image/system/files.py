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
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from cartloader_image.action_params import OutputPrefix
from cartloader_image.errors import DiskError
from cartloader_image.system.aside import aside
from cartloader_image.system.hidden import HIDDEN, Hidden, opened
from cartloader_image.system.reading import naming, open_file

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
    """Give a finished file its final name in one step, after its bytes have reached the disk; the name follows them.

    A file that is replaced hands its permissions on.

    Raises:
        OSError: with the final name, for instance because that is a directory.
    """
    try:
        flush(draft)
        with suppress(FileNotFoundError):
            shutil.copymode(final, draft)
        draft.replace(final)
        _flush_folder(final.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(final)) from error


def flush(path: Path) -> None:
    """Wait until a file's bytes have reached the disk; a second time costs nothing.

    Raises:
        OSError: the disk fails.
    """
    with path.open("rb") as file, naming(path):
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Wait until the names in a folder have reached the disk, where that can be asked for."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # we may write there, but not look
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


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
    with open_file(path) as file, naming(path):
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _claim(folder: Path, name: str, on_wait: OnWait | None) -> Iterator[Path]:
    """Hold a name in a folder as long as the context lasts; no signal interrupts what makes and removes its files."""

    def keep(say: Callable[[Path], None], over: threading.Lock) -> None:
        with _holding(folder, name, on_wait, over) as scratch:
            say(scratch)
            over.acquire()

    try:
        with naming(folder), aside(keep) as scratch:
            yield scratch
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskError(f"{folder}: the disk is full; make room or choose another directory") from error
        raise


@contextmanager
def _holding(folder: Path, name: str, on_wait: OnWait | None, over: threading.Lock) -> Iterator[Path]:
    """An empty scratch directory and its lock, which are removed at the end."""
    lock = FileLock(folder / HIDDEN / f"{name}.lock")
    _acquire(lock, folder, name, on_wait, over)
    try:
        # With a lock in it that is held, the hidden directory does not go away.
        with opened(folder) as hidden:
            try:
                _clear_dead_runs(hidden)
                yield hidden.claim(name)
            finally:
                hidden.remove(name)
    finally:
        lock.release()
        with suppress(OSError):  # somebody else works there
            (folder / HIDDEN).rmdir()


def _acquire(lock: FileLock, folder: Path, name: str, on_wait: OnWait | None, over: threading.Lock) -> None:
    """Take a lock.

    Whoever ends last removes the directory, so it can go away between its creation and that of the lock in it.
    """
    with on_wait or nullcontext(lambda: None) as wait:

        def ends() -> bool:
            wait()
            return not over.locked()

        for left in reversed(range(_ATTEMPTS)):
            try:
                with opened(folder) as hidden:
                    hidden.check(name)
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    lock.acquire(poll_interval=_LOOK, cancel_check=ends)
            except (FileNotFoundError, FileExistsError):
                if not left:
                    raise
            else:
                return


def _clear_dead_runs(hidden: Hidden) -> None:
    for name in hidden.names():
        lock = FileLock(hidden.lock(name))
        with suppress(OSError):  # a living run holds it
            lock.acquire(blocking=False)
            hidden.remove(name)
            lock.release()
