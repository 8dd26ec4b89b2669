"""What a run of a deployment minds, which a worker has started in a process of its own."""

from __future__ import annotations

from pathlib import Path

import prefect.runtime.deployment

from cartloader_image.errors import UsageError
from cartloader_image.options import option
from cartloader_image.params import SharedOptions


def refuse_relative_paths(options: SharedOptions, **paths: Path | None) -> None:
    """Make sure that a deployment's parameters mean the same files wherever its worker runs.

    Raises:
        UsageError: a path is relative, and the run comes from a deployment.
    """
    if prefect.runtime.deployment.id is None:
        return
    for name, value in [*paths.items(), *options.paths().items()]:
        if value and not value.is_absolute():
            raise UsageError(
                f"{option(name)} {value}: a relative path means another file to each worker; give an absolute one"
            )


def working_directory() -> Path | None:
    """Where relative paths of a mapping may lead; a worker's own directory means nothing to whoever wrote them."""
    return Path.cwd() if prefect.runtime.deployment.id is None else None
