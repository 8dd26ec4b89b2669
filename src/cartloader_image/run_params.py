"""The options of what follows the tiles, and of a run as a whole: how it goes about its images."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from cartloader_image.options import Options, in_group
from cartloader_image.values import DaskAddress, FilePath


class CatalogOptions(Options):
    """Where the catalog is."""

    catalog_yaml: FilePath | None = Field(None, **in_group("in/out"))
    """Catalog to update; unless given, catalog.yaml in --out-dir."""


class OverlayOptions(Options):
    """Whether a finished archive lies under what was measured on the same tissue."""

    check_points: FilePath | None = Field(None, **in_group("png2pmtiles"))
    """Points in µm under which the finished picture should lie, such as transcripts.csv.gz: what cartloader
    check-overlay finds out is told and kept as ID.overlay.json, with a picture; where it clearly does not lie right, a
    note says what would."""
    overlay_strict: bool = Field(False, **in_group("png2pmtiles"))
    """Fail an image that clearly does not lie under its --check-points, so that it enters no catalog."""


class RunOptions(Options):
    """How the run goes about it."""

    restart: bool = Field(False, **in_group("run"))
    """Ignore what was made before, and do all work anew."""


class FanOutOptions(Options):
    """How the images of a mapping are spread."""

    n_jobs: int = Field(1, ge=1, **in_group("run"))
    """Images at a time."""
    task_runner: Literal["threads", "dask"] = Field("threads", **in_group("run"))
    """Work on the images of a mapping in threads of this process, or on the workers of a Dask cluster, which must see
    the same files at the same paths."""
    dask_address: DaskAddress | None = Field(None, **in_group("run", "ADDRESS"))
    """Scheduler of --task-runner dask, such as tcp://10.0.0.5:8786."""

    @model_validator(mode="after")
    def _address_goes_with_dask(self) -> Self:
        if self.task_runner == "dask" and not self.dask_address:
            raise ValueError("--task-runner dask: give its scheduler by --dask-address, such as tcp://10.0.0.5:8786")
        if self.dask_address and self.task_runner != "dask":
            raise ValueError("--dask-address is for --task-runner dask; give both or none")
        return self
