"""When an action need not be done again: same input, options and program, and its files are still as it left them.

Prefect keeps the result of each finished task run under a key. The key is made of the content of the inputs, so that a
touched or moved file is a hit and a changed byte is none. Prefect does not look at the files that a result speaks of;
that is done here, before it looks for the result.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import xxhash
from filelock import FileLock, Timeout
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.locking.protocol import LockManager
from prefect.settings import PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH
from prefect.transactions import IsolationLevel

from cartloader_image.action_params import CheckPointsParams, OutputPrefix, Png2PmtilesParams, RasterParams
from cartloader_image.engines.toolbox import toolbox
from cartloader_image.errors import StoppedError
from cartloader_image.images.beside import inputs
from cartloader_image.kernels import door
from cartloader_image.params import TOOLS
from cartloader_image.report import Report, quiet, waiting
from cartloader_image.results import Output
from cartloader_image.version import ALGORITHM, __version__
from cartloader_tasks.digests import DigestMemory
from cartloader_tasks.limits import give_back_slot
from cartloader_tasks.records import Records
from cartloader_tasks.reports import is_stopping, watcher_report

OutputT = TypeVar("OutputT", bound=Output)

_NO_MATTER = {"in_img", "out", "high_memory", "engine", "shards", "tool_timeout", *TOOLS}
"""Parameters that do not change what is written, or whose meaning enters the key in another way."""


def home() -> Path:
    """Where the memory of digests is: beside Prefect's own records."""
    return Path(PREFECT_HOME.value()) / "cartloader"


def locks() -> Path:
    """Where the locks are: with the results, which several machines may share."""
    return Path(PREFECT_LOCAL_STORAGE_PATH.value()) / "cartloader-locks"


def digest(path: Path) -> str:
    """The digest of a file, remembered.

    Raises:
        OSError: the file cannot be read.
    """
    return DigestMemory(home() / "digests.sqlite3").digest(path)


def key_of(action: str, params: RasterParams | Png2PmtilesParams | CheckPointsParams) -> str:
    """The key of an action's result.

    Raises:
        CartloaderError: a tool of ``--engine gdal`` is missing.
        OSError: an input cannot be read.
    """
    options = params.model_dump(mode="json", exclude=_NO_MATTER)
    parts: dict[str, Any] = {
        "action": action,
        "algorithm": [__version__, ALGORITHM, door.version()],
        "out": str(params.out.path("").absolute()),
    }
    options = {name: value for name, value in options.items() if not isinstance(getattr(params, name), Path)}
    if isinstance(params, RasterParams):
        files = inputs(params)
    elif isinstance(params, CheckPointsParams):
        files = [params.out.path(".pmtiles"), params.check_points]
    else:
        files = [params.out.path(".geotif.tif")]
        parts["tools"] = toolbox(params).versions if params.chosen_engine == "gdal" else None
    # What a world file is called says what it is, and what a picture is called, which of Space Ranger's it is, or of
    # which field of view; and points are told of by their name.
    by_name = (
        isinstance(params, CheckPointsParams)
        or isinstance(getattr(params, "pixel_size", None), Path)
        or bool(getattr(params, "fov_positions", None))
    )
    parts["inputs"] = [[file.name if by_name else file.suffix, digest(file)] for file in files]
    return f"{action}-{xxhash.xxh3_128_hexdigest(json.dumps([parts, options], sort_keys=True).encode())}"


def with_digests(result: OutputT) -> OutputT:
    """A result that knows what its files are."""
    return result.model_copy(update={"digests": {file.name: digest(file) for file in result.files}})


def is_intact(result: Output, out: OutputPrefix) -> bool:
    """Whether the files of a result are what they were, where they are expected now."""
    if result.digests.keys() != {file.name for file in result.files}:
        return False
    try:
        return all(digest(out.out_dir / name) == known for name, known in result.digests.items())
    except OSError:
        return False


class FileLocks(LockManager):
    """One run at a time for each key; the system frees the lock of a process that dies.

    (The locks of `prefect.locking.filesystem` outlive a killed process, and the next run would wait forever.)
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, FileLock]] = {}
        self._reports: dict[str, Report] = {}
        self._guard = threading.Lock()

    def tell(self, key: str, report: Report) -> None:
        """Set the report that notes a wait for this key."""
        self._reports[key] = report

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,  # noqa: ARG002  (nobody asks for one)
    ) -> bool:
        """Wait for the lock; whether it is held now.

        Raises:
            StoppedError: the run is stopped meanwhile; what holds the lock may take long.
        """
        if self.is_lock_holder(key, holder):
            return True
        lock = FileLock(locks() / f"{key}.lock", thread_local=False)
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        timeout = -1 if acquire_timeout is None else acquire_timeout
        with waiting(self._reports.pop(key, quiet), "another run that makes the same files") as wait:

            def stops() -> bool:
                if not timeout:  # it is only asked whether the lock is free, such as by whoever holds it
                    return False
                give_back_slot()
                wait()
                return is_stopping()

            try:
                lock.acquire(timeout=timeout, cancel_check=stops)
            except Timeout:
                if is_stopping():
                    raise StoppedError("the run was stopped") from None
                return False
        with self._guard:
            self._held[key] = holder, lock
        return True

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        """Wait for the lock."""
        return self.acquire_lock(key, holder, acquire_timeout, hold_timeout)

    def release_lock(self, key: str, holder: str) -> None:
        """Let others have it; a transaction inside another one does so twice."""
        with self._guard:
            if self._held.get(key, ("",))[0] != holder:
                return
            _, lock = self._held.pop(key)
        lock.release()

    def is_locked(self, key: str) -> bool:
        """Whether anybody holds it."""
        return not self.wait_for_lock(key, 0)

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether this one holds it."""
        with self._guard:
            return self._held.get(key, ("",))[0] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody holds it; False when that takes too long."""
        if not self.acquire_lock(key, f"waits {threading.get_ident()}", timeout):
            return False
        self.release_lock(key, f"waits {threading.get_ident()}")
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody holds it."""
        return self.wait_for_lock(key, timeout)


_LOCKS = FileLocks()


@dataclass
class ByContent(CachePolicy):
    """Keys by content; a result whose files are gone or changed is forgotten before it is looked for."""

    def __post_init__(self) -> None:
        self.isolation_level, self.lock_manager = IsolationLevel.SERIALIZABLE, _LOCKS

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002  (those of the task say all)
        **_: Any,
    ) -> str | None:
        """The key of a task run; None where its input cannot be read, which the action itself tells best."""
        params = inputs["params"]
        try:
            key = key_of(task_ctx.task.name, params)
        except OSError:
            return None
        store = task_ctx.result_store
        # Prefect goes on with this store.
        records = store.result_storage = Records.of(store.result_storage)
        if store.exists(key) and not is_intact(store.read(key).result, params.out):
            Path(f"{records.basepath}", key).unlink(missing_ok=True)
        _LOCKS.tell(key, watcher_report(params.out.img_id))
        return key
