"""Events about images, for others to act on: automations of Prefect, or whoever listens to its server."""

from __future__ import annotations

from prefect.events import emit_event

from cartloader_image.errors import StoppedError, sentence
from cartloader_image.results import ImageResult


def tell_of_image(image: ImageResult) -> None:
    """Tell that an image was imported, with its archive and what that is; one that is as before is no news."""
    if image.cached or not (tiles := image.tiles):
        return
    archive = tiles.path.absolute()
    digest = tiles.digests.get(archive.name)
    _tell("imported", image.img_id, {"archive": str(archive), "xxh3_128": digest})


def tell_of_failures(failures: dict[str, Exception]) -> None:
    """Tell of each image, and each catalog, that failed and why; one that was stopped has not failed."""
    for name, error in failures.items():
        if not isinstance(error, StoppedError):
            _tell("failed", name, {"why": sentence(error, name)})


def _tell(what: str, img_id: str, more: dict[str, str | None]) -> None:
    """Emit an event, which Prefect relates to the run that is here."""
    image = {"prefect.resource.id": f"cartloader.image.{img_id}", "prefect.resource.name": img_id}
    emit_event(f"cartloader.image.{what}", image, payload={"id": img_id, **more})
