"""What machines that work together must share: the images and the output directory, at the same paths."""

from __future__ import annotations

import socket
from pathlib import Path

import prefect.runtime.deployment

from cartloader_image.errors import InputError
from cartloader_image.recipe.job import ImageJob
from cartloader_image.results import ImageResult


def size_of(path: Path | None) -> int | None:
    """Bytes of a file as it is seen here; None where there is none."""
    return path.stat().st_size if path and path.is_file() else None


def check_shared(job: ImageJob, size: int | None) -> None:
    """Make sure that this machine sees what the machine of the flow does.

    Args:
        job: What is to be done here.
        size: Bytes of the image, as seen there; None where it is not there either, which its reader tells best.

    Raises:
        InputError: the image or the output directory is not here.
    """
    if size is not None and size_of(job.in_img) != size:
        raise _unseen(f"{job.in_img}")
    if not job.out.out_dir.is_dir():
        raise _unseen(f"--out-dir {job.out.out_dir}")


def check_seen(image: ImageResult) -> None:
    """Make sure that the files another machine has made are seen here.

    Raises:
        InputError: one is not.
    """
    for file in (file for one in image.outputs for file in one.files):
        if not file.is_file():
            raise _unseen(f"{file}")


def check_found(path: Path | None) -> None:
    """Make sure that the worker of a deployment finds an input; elsewhere, whoever reads it says best what is wrong.

    Raises:
        InputError: it does not.
    """
    if prefect.runtime.deployment.id is not None and path and not path.exists():
        raise _unseen(f"{path}")


def _unseen(what: str) -> InputError:
    """The error of a machine that does not see a file which others do."""
    return InputError(
        f"{what}: not seen on {socket.gethostname()}; all machines need the file systems of the images and of the "
        "output, at the same paths"
    )
