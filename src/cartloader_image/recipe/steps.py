"""What an import consists of: actions with their parameters, one after the other; and those that follow the tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from cartloader_image.action_params import CheckPointsParams, UpdateCatalogParams, subset
from cartloader_image.points.table import Table
from cartloader_image.recipe import actions
from cartloader_image.recipe.footprint import Range
from cartloader_image.recipe.job import ImageJob
from cartloader_image.report import Report
from cartloader_image.system.tools import ToolCall

ParamsT = TypeVar("ParamsT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Step(Generic[ParamsT, ResultT]):
    """An action with its parameters, the files that it comes from and those that it writes."""

    action: Callable[[ParamsT, Report], ResultT]
    purpose: str
    """What it is for, as a comment says it."""
    params: ParamsT
    inputs: tuple[Path, ...]
    files: tuple[tuple[Path, Range | None], ...]
    """The one that matters most first; without a size those of a few bytes."""
    calls: tuple[ToolCall, ...] = ()
    """The tools that it will call to make something."""
    together: bool = False
    """Whether the images of a run take it together, when all are done."""

    @property
    def name(self) -> str:
        """The action's name, by which a command line calls it."""
        return self.action.__name__


AnyStep = Step[Any, Any]


def last_steps(job: ImageJob) -> tuple[AnyStep, ...]:
    """What is done with the finished archive: it is held against points, and enters a catalog.

    Raises:
        InputError: the points cannot be read, as far as their header tells.
        ToolError: they are Parquet, and pyarrow is missing.
    """
    archive, found = job.out.path(".pmtiles"), job.out.overlay_files
    steps: list[AnyStep] = []
    if points := job.points:
        Table(points)  # its header is refused before any work
        checked = subset(CheckPointsParams, job.options, out=job.out)
        purpose = "whether it lies under its points"
        steps.append(
            Step(actions.check_points, purpose, checked, (archive, points), tuple((file, None) for file in found))
        )
    if job.options.update_catalog:
        entered = UpdateCatalogParams(
            catalog_yaml=job.catalog,
            basemaps={job.out.img_id: archive},
            title=job.out.out_dir.resolve().name,
            max_input_cost=job.options.max_input_cost,
        )
        inputs = (archive, found[0]) if points else (archive,)
        purpose, files = "the catalog that lists it", ((job.catalog, None),)
        steps.append(Step(actions.update_catalog, purpose, entered, inputs, files, together=True))
    return tuple(steps)
