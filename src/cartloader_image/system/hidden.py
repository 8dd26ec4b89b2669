"""The hidden directory in each folder that is written to: whose it is, and which names in it are ours.

What is in it is reached through its descriptor, and no link is followed: somebody else who may write to the folder
cannot lead a run elsewhere by what lies there. Nobody else may write into a hidden directory that we have made.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from cartloader_image.errors import DiskError

HIDDEN = ".cartloader"
"""The directory of locks and scratch inside each folder that is written to; it is gone when nobody works there."""
_MARK = b"A run of cartloader has this lock; the scratch directory beside it is its own.\n"
"""What is in the lock file of a scratch directory that may be cleared: a name alone could be anybody's."""
_INSTEAD = "remove it, or choose another directory"
_NO_LINK = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Hidden:
    """An open hidden directory. A name in it has a lock, ``<name>.lock``, and a ``<name>.scratch``."""

    path: Path
    descriptor: int

    def lock(self, name: str) -> Path:
        """The lock file of a name."""
        return self.path / f"{name}.lock"

    def check(self, name: str) -> None:
        """Make sure that nothing else lies where a name has its lock and its scratch directory.

        Raises:
            DiskError: a link does, or something of another kind or of somebody else.
        """
        owner = os.fstat(self.descriptor).st_uid
        kinds = {f"{name}.lock": (stat.S_ISREG, "file"), f"{name}.scratch": (stat.S_ISDIR, "directory")}
        for entry, (is_kind, kind) in kinds.items():
            if state := self._state(entry):
                _refuse(self.path / entry, state, is_kind, kind, is_ours=state.st_uid == owner)

    def claim(self, name: str) -> Path:
        """An empty scratch directory for a name whose lock is held; what a dead run left of it is removed.

        Raises:
            DiskError: what is there is none of ours.
            OSError: it cannot be made.
        """
        self.check(name)
        found = self._read_lock(name)
        scratch = f"{name}.scratch"
        if found != _MARK:
            if found or self._state(scratch):
                other = self.lock(name) if found else self.path / scratch
                raise DiskError(f"{other}: is not cartloader's; {_INSTEAD}")
            self._write_lock(name)
        elif self._state(scratch):
            shutil.rmtree(scratch, dir_fd=self.descriptor)
        os.mkdir(scratch, dir_fd=self.descriptor)
        return self.path / scratch

    def remove(self, name: str) -> None:
        """Remove the scratch directory and the lock file of a name whose lock is held, as far as they are ours.

        Unlinking a lock file that is held is safe because `filelock` refuses a lock on a file that has lost its name:
        who waited for the old file starts over with the new one.
        """
        with suppress(OSError):
            found = self._read_lock(name)
            if found == _MARK:
                shutil.rmtree(f"{name}.scratch", ignore_errors=True, dir_fd=self.descriptor)
            if found == _MARK or not found:
                os.unlink(f"{name}.lock", dir_fd=self.descriptor)

    def names(self) -> list[str]:
        """The names that have a lock file which could be ours."""
        owner = os.fstat(self.descriptor).st_uid
        found = {entry.name: self._state(entry.name) for entry in os.scandir(self.descriptor)}
        return [
            name.removesuffix(".lock")
            for name, state in found.items()
            if name.endswith(".lock") and state and stat.S_ISREG(state.st_mode) and state.st_uid == owner
        ]

    def _state(self, name: str) -> os.stat_result | None:
        with suppress(FileNotFoundError):
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        return None

    def _read_lock(self, name: str) -> bytes:
        descriptor = os.open(f"{name}.lock", os.O_RDONLY | _NO_LINK, dir_fd=self.descriptor)
        try:
            return os.read(descriptor, len(_MARK) + 1)
        finally:
            os.close(descriptor)

    def _write_lock(self, name: str) -> None:
        descriptor = os.open(f"{name}.lock", os.O_WRONLY | _NO_LINK, dir_fd=self.descriptor)
        try:
            os.write(descriptor, _MARK)
        finally:
            os.close(descriptor)


@contextmanager
def opened(folder: Path) -> Iterator[Hidden]:
    """The hidden directory of a folder; both are created where they are missing.

    Raises:
        DiskError: what is there is a link, no directory, or somebody else's.
        FileNotFoundError: it went away just now.
        OSError: it cannot be made.
    """
    path = folder / HIDDEN
    with suppress(FileExistsError):
        path.mkdir(0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK)
    except OSError:
        state = path.lstat()
        _refuse(path, state, stat.S_ISDIR, "directory", is_ours=_is_ours(state, folder))
        raise
    try:
        state = os.fstat(descriptor)
        _refuse(path, state, stat.S_ISDIR, "directory", is_ours=_is_ours(state, folder))
        if state.st_mode & _WRITABLE_BY_OTHERS:  # an older version's
            with suppress(OSError):
                os.fchmod(descriptor, stat.S_IMODE(state.st_mode) & ~_WRITABLE_BY_OTHERS)
        yield Hidden(path, descriptor)
    finally:
        os.close(descriptor)


def _is_ours(state: os.stat_result, folder: Path) -> bool:
    """Whether something in a folder is this user's: some file systems give everything there to one user."""
    if state.st_uid == os.geteuid():
        return True
    try:
        with TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_uid == state.st_uid
    except OSError:
        return False


def _refuse(path: Path, state: os.stat_result, is_kind: Callable[[int], bool], kind: str, *, is_ours: bool) -> None:
    if not is_kind(state.st_mode):
        found = "a symbolic link" if stat.S_ISLNK(state.st_mode) else f"no {kind}"
        raise DiskError(f"{path}: is {found}, where cartloader has a {kind} of its own; {_INSTEAD}")
    if not is_ours:
        raise DiskError(
            f"{path}: belongs to {_user(state.st_uid)}, whose run is at work here or was killed; wait until it has "
            "ended, have it removed by them, or choose another directory"
        )


def _user(number: int) -> str:
    with suppress(KeyError):
        return f"{pwd.getpwuid(number).pw_name} (user {number})"
    return f"user {number}"
