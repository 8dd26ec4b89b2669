"""What a run leaves in the Prefect UI: a page for each image; its table, progress and the changes of the catalog."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from uuid import UUID

import numpy as np
import xxhash
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from prefect import get_run_logger
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import FlowRunContext, TaskRunContext

from cartloader_image.drawing import data_uri, draw_caption
from cartloader_image.errors import StoppedError, sentence
from cartloader_image.rasters.geotiff import open_geotiff
from cartloader_image.report import Stage
from cartloader_image.results import CatalogResult, ImageResult, RasterResult, RunResult
from cartloader_image.tiles.place import place_of
from cartloader_image.tiles.reader import reading
from cartloader_image.window import Window
from cartloader_tasks.asking import ask

_PREVIEW = 640
"""Pixels a side."""
_SAMPLED = 16
"""Places along each axis at which the shown values are counted."""
_HISTOGRAM = 256, 80
_EVERY = 1.0
"""Seconds between two signs of progress."""


def record_image(image: ImageResult) -> None:
    """Leave a page about a finished image: how it looks on the map, its facts, its thresholds and its asset.

    One that is as it was made before has its page already. A page that cannot be made is no reason to fail: the image
    is done.
    """
    if image.cached or not image.outputs:
        return
    try:
        key = _key(f"image {image.img_id}", image.outputs[0].files[0].parent)
        _create("markdown", key, f"Image {image.img_id}", _page(image))
    except Exception:  # noqa: BLE001
        get_run_logger().exception("the page about %s could not be made", image.img_id)


def record_run(result: RunResult, failures: dict[str, Exception], out_dir: Path) -> None:
    """Leave the table of the images, those that failed first, and what changed in the catalogs."""
    rows = [_failed(name, error) for name, error in failures.items()] + [_row(image) for image in result.images]
    _create("table", _key("images", out_dir), f"What became of each image of {out_dir}", json.dumps(rows))
    for catalog in result.catalogs:
        entered = [image for image in result.images if catalog.path in {ahead.catalog_yaml for ahead in image.ahead}]
        key = _key(f"catalog {catalog.path.stem}", catalog.path.parent)
        _create("markdown", key, f"Changes of {catalog.path}", _catalog(catalog, entered))


def _create(kind: str, key: str, description: str, data: str | float) -> UUID:
    """An artifact of the run that works here."""
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    flow_run_id = task.task_run.flow_run_id if task else flow.flow_run.id if flow and flow.flow_run else None
    asked = ArtifactCreate(
        type=kind,
        key=key,
        description=description,
        data=data,
        flow_run_id=flow_run_id,
        task_run_id=task.task_run.id if task else None,
    )
    return ask(lambda client: client.create_artifact(asked)).id


def _key(name: str, folder: Path) -> str:
    """The key of an artifact about files of a directory: two directories of one name have keys of their own."""
    folder = folder.absolute()
    words = f"{name} {folder.name} {xxhash.xxh3_64_hexdigest(os.fsencode(folder))[:4]}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _failed(name: str, error: Exception) -> dict[str, object]:
    return {
        "image": name,
        "state": "stopped" if isinstance(error, StoppedError) else "failed",
        "why": sentence(error, name),
    }


def _row(image: ImageResult) -> dict[str, object]:
    return {
        "image": image.img_id,
        "state": "as made before" if image.cached else "done",
        "why": "; ".join(image.notes),
        "tiles": image.tiles.tiles if image.tiles else None,
        "zooms": f"{image.tiles.min_zoom}–{image.tiles.max_zoom}" if image.tiles else None,
        "MB": round(image.tiles.size / 1e6, 3) if image.tiles else None,
        "lies": image.overlay.lies if image.overlay else None,
        "seconds": round(sum(image.seconds.values()), 2),
        "waited": round(image.waited, 2),
    }


def _catalog(catalog: CatalogResult, entered: list[ImageResult]) -> str:
    """What changed, and how those of its images lie that were held against points."""
    parts = [f"```diff\n{catalog.diff}\n```" if catalog.diff else f"Nothing to change in `{catalog.path}`."]
    if checked := [f"| {image.img_id} | {image.overlay} |" for image in entered if image.overlay]:
        parts.append("\n".join(["| image | held against points |", "|---|---|", *checked]))
    return "\n\n".join(parts)


def _page(image: ImageResult) -> str:
    parts = [f"# {image.img_id}"]
    if image.tiles:
        drawn = data_uri(draw_caption(image.tiles.path, image.img_id, _PREVIEW))
        parts.append(f"![{image.img_id} as the map shows it]({drawn})")
    facts = _facts(image)
    parts.append("\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]))
    if image.notes:
        parts.append("\n".join(["## Notes", "", *(f"- {note}" for note in image.notes)]))
    if image.overlay:
        with Image.open(image.overlay.files[1]) as drawn_points:
            drawn_points.thumbnail((_PREVIEW, _PREVIEW))
            parts.append(f"## Held against points\n\n![points on {image.img_id}]({data_uri(drawn_points)})")
    if image.raster:
        picture = f"![values from black to full]({data_uri(_histogram(image.raster))})"
        parts.append(f"## Shown values\n\n{image.raster.shown}\n\n{picture}")
    if image.tiles:
        asset = image.tiles.files[1]
        parts.append(f"## Asset\n\n`{asset}`\n\n```json\n{asset.read_text(encoding='utf-8')}```")
    return "\n\n".join(parts)


def _facts(image: ImageResult) -> dict[str, object]:
    facts: dict[str, object] = {}
    if image.raster:
        facts["image"] = image.raster.description
        facts |= _placing(image.raster)
    if tiles := image.tiles:
        with reading(tiles.path) as archive:
            metadata = archive.read_metadata()
            bounds = place_of(archive, list(archive.zooms())).bounds
        origin = metadata["cartloader"]
        facts |= {
            "size": "{:,} × {:,} pixels".format(*origin["image_size"]),
            "µm per pixel": " × ".join(f"{size:.6g}" for size in origin["um_per_pixel"]),
            "bounds (µm)": bounds.rounded,
            "zooms": f"{tiles.min_zoom}–{tiles.max_zoom}",
            "tiles": f"{tiles.tiles:,}",
            "bytes": f"{tiles.size:,}",
            "archive": f"`{tiles.path}`",
        }
    if image.overlay:
        facts["held against points"] = image.overlay
    for stage, seconds in image.seconds.items():
        output = {"png2pmtiles": image.tiles, "check_points": image.overlay}.get(stage, image.raster)
        facts[stage] = "as made before" if output and output.cached else f"{seconds:.2f} s"
    if image.waited:
        facts["waited"] = f"{image.waited:.2f} s"
    if image.tiles:
        for use in image.tiles.tools:
            facts[f"{use.tool} ({use.stage})"] = f"{use.seconds:.1f} s, {use.memory / 1e6:,.0f} MB"
    return facts


def _placing(raster: RasterResult) -> dict[str, object]:
    """By what an image was placed, and where."""
    if not (placing := raster.placing):
        return {}
    facts: dict[str, object] = {
        "placed by": placing.origin,
        "affine (column, row → x, y)": ", ".join(f"{value:.9g}" for value in placing.affine),
    }
    facts |= {f"SHA-256 of `{name}`": f"`{digest}`" for name, digest in placing.files.items()}
    return facts | ({"landmarks": placing.landmarks} if placing.landmarks else {})


def _histogram(raster: RasterResult) -> Image.Image:
    """How often the 8-bit values are in some pieces of the picture, by square roots; 0 on the left."""
    counts: NDArray[np.int64] = np.zeros(256, np.int64)
    with open_geotiff(raster.files[0]) as placed:
        store = placed.store
        for row in np.unique(np.linspace(0, max(store.height - 64, 0), _SAMPLED, dtype=int)):
            for column in np.unique(np.linspace(0, max(store.width - 64, 0), _SAMPLED, dtype=int)):
                window = Window(row, min(row + 64, store.height), column, min(column + 64, store.width))
                colours = store.read(window)[..., : min(store.bands, 3)]
                counts += np.bincount(colours.max(axis=2).ravel(), minlength=256)
    width, height = _HISTOGRAM
    tops = np.sqrt(counts / counts.max()) * (height - 2)
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    for value, top in enumerate(tops):
        draw.line([(value, height - 1), (value, height - 1 - float(top))], fill="#334155")
    return picture


class RunProgress:
    """How far a run is: the mean of its images, published now and then from whichever thread knows."""

    def __init__(self, images: int, out_dir: Path) -> None:
        self._done = dict[str, float]()
        self._images = max(images, 1)
        self._lock = threading.Lock()
        self._published = time.monotonic()
        self._artifact = _create("progress", _key("progress", out_dir), "How far the run is", 0.0)

    def image(self, img_id: str, share: float) -> None:
        """An image is done to a share from 0 to 1."""
        with self._lock:
            self._done[img_id] = max(self._done.get(img_id, 0), share)
            if (now := time.monotonic()) < self._published + _EVERY:
                return
            self._published = now
            percent = 100 * sum(self._done.values()) / self._images
        self._tell(percent)

    def finish(self) -> None:
        """All that could be done is done."""
        self._tell(100.0)

    def _tell(self, percent: float) -> None:
        ask(lambda client: client.update_artifact(self._artifact, ArtifactUpdate(data=percent)))


_progress: ContextVar[RunProgress | None] = ContextVar("progress", default=None)


@contextmanager
def run_progress(images: int, out_dir: Path) -> Iterator[None]:
    """Show the progress of a run of so many images for the time of the context."""
    progress = RunProgress(images, out_dir)
    token = _progress.set(progress)
    try:
        yield
        progress.finish()
    finally:
        _progress.reset(token)


def image_progress(img_id: str) -> Callable[[Stage, int, int], None]:
    """What the stages of an image report their progress to."""
    progress = _progress.get()

    def tell(stage: Stage, done: int, total: int) -> None:
        if progress and total and stage is not Stage.WAITING:
            begin, end = _shares(stage)
            progress.image(img_id, begin + (end - begin) * done / total)

    return tell


def _shares(stage: Stage) -> tuple[float, float]:
    """How much of an image is done before a stage and after it: the raster counts for 40 %, its tiles for the rest."""
    if stage.makes_raster:
        return 0, 0.4
    if stage is Stage.CHECK_POINTS:
        return 0.95, 1
    return (0 if stage is Stage.ON_THE_CLUSTER else 0.4), 0.95
