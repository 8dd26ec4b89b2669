"""What the actions hand back: small frozen models that survive JSON, so that a cached task can return them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from cartloader_image.action_params import UpdateCatalogParams
from cartloader_image.errors import CartloaderError, sentence
from cartloader_image.values import exact


class Result(BaseModel):
    """A frozen result."""

    model_config = ConfigDict(frozen=True)


class Output(Result):
    """What an action wrote into its output directory."""

    files: tuple[Path, ...]
    """All files written, the one that matters most first."""
    digests: dict[str, str] = {}
    """What they are, by name, where somebody will want to know whether they still are."""
    notes: tuple[str, ...] = ()
    """What was guessed or mended on the way."""
    cached: bool = False
    """Whether they were made before, and needed no work."""

    def placed_in(self, out_dir: Path) -> Self:
        """The same files by the path of their directory that is used now."""
        return self.model_copy(update={"files": tuple(out_dir / file.name for file in self.files)})


class LandmarkFit(Result):
    """How well landmarks agree with the matrix that was fitted to them."""

    model: str
    residuals: tuple[float, ...]
    """µm, in the order of the file."""
    rms: float
    worst: float

    def __str__(self) -> str:
        each = ", ".join(f"{residual:.3g}" for residual in self.residuals)
        return f"{self.model}, RMS {self.rms:.3g} µm, worst {self.worst:.3g} µm; of each point: {each} µm"


class Placing(Result):
    """By what an image was placed, so that it can be done again."""

    origin: str
    """What kind of file or option said it, such as ``ome``, ``bounds`` or ``xenium alignment``."""
    affine: tuple[float, float, float, float, float, float]
    """Stored pixel corner → map: ``x = a·column + b·row + c``, ``y = d·column + e·row + f``."""
    files: dict[str, str] = {}
    """SHA-256 of the files that said it, by name."""
    full_size: tuple[int, int]
    """Width and height of the image in pixels, before any shrinking."""
    landmarks: LandmarkFit | None = None

    @property
    def rows(self) -> str:
        """The affine as a file has it: two rows of three numbers, of which each reads as the same again."""
        return "\n".join(",".join(map(exact, row)) for row in (self.affine[:3], self.affine[3:]))

    def __str__(self) -> str:
        files = ", ".join(f"{name} {digest[:12]}…" for name, digest in self.files.items())
        affine = ",".join(f"{value:.9g}" for value in self.affine)
        return f"{self.origin}{f' ({files})' if files else ''}: {affine}"


class RasterResult(Output):
    """A placed GeoTIFF and what was written beside it."""

    description: str
    """The image in one line: size, type, plane, µm per pixel."""
    shown: str
    """Which stored values are shown from black to full, and why, such as ``0 … 4,812 of 65,535 (quantile 0.999)``."""
    placing: Placing | None = None
    """None of those made before it was recorded."""


class ToolUse(Result):
    """What one call of an external tool took."""

    tool: str
    stage: str
    """What it did."""
    seconds: float
    memory: int
    """Bytes of its largest process at its peak; 0 where the system does not tell."""


class TilesResult(Output):
    """A verified archive, its asset JSON and, by ``--engine gdal``, the MBTiles."""

    min_zoom: int
    max_zoom: int
    tiles: int
    size: int
    """Bytes of the archive."""
    tools: tuple[ToolUse, ...] = ()
    """The calls that made it, none for the native engine."""

    @property
    def path(self) -> Path:
        """The archive."""
        return self.files[0]


class OverlayResult(Output):
    """Whether a finished picture lies under points, and the file that says so."""

    points: str
    """What their file is called."""
    lies: Literal["right", "wrong", "not sure"]
    """Right and wrong only where that is sure."""
    text: str
    """What was found out, in words."""
    said: dict[str, Any] = {}
    """The same as ``cartloader check-overlay --json`` prints it; empty where nothing could be compared."""

    def __str__(self) -> str:
        measured = ""
        if self.said:
            agree = f"{self.said['scores']['as_it_is']:.2f}"
            measured = f" ({self.said['overlap']:.0%} of their box on the picture, agreement as it lies {agree})"
        return f"under {self.points}: {self.text}{measured}"


class CatalogResult(Result):
    """An updated catalog."""

    path: Path
    added: tuple[str, ...]
    """Basemaps that it did not list before."""
    replaced: tuple[str, ...]
    """Basemaps whose archive is another one now: it lists another file, or the file beside it was exchanged."""
    diff: str
    """Unified diff of the file before and after, and a line for each archive beside it that was exchanged; empty when
    nothing had to change."""


class ImageResult(Result):
    """One finished image."""

    img_id: str
    raster: RasterResult | None = None
    tiles: TilesResult | None = None
    overlay: OverlayResult | None = None
    seconds: dict[str, float] = {}
    """Wall time by action, without what it waited for others."""
    waited: float = 0
    """Seconds of waiting, for a slot of a limit or for other runs at work on the same files."""
    asked: tuple[str, ...] = ()
    """Notes about what was asked for, such as an option without effect."""
    ahead: tuple[UpdateCatalogParams, ...] = ()
    """What is left to do for it, together with the other images of its run."""

    @property
    def notes(self) -> tuple[str, ...]:
        """All that a person should know although the image is done."""
        return (*self.asked, *(note for one in self.outputs for note in one.notes))

    @property
    def outputs(self) -> list[Output]:
        """What its actions wrote."""
        return [one for one in (self.raster, self.tiles, self.overlay) if one]

    @property
    def cached(self) -> bool:
        """Whether its files were made before, and nothing had to be done."""
        return bool(self.outputs) and all(one.cached for one in self.outputs)


class RunResult(Result):
    """The finished images of a run, and the catalogs they entered."""

    images: tuple[ImageResult, ...]
    catalogs: tuple[CatalogResult, ...]
    notes: tuple[str, ...] = ()
    """What a person should know of how the run was understood, such as an entry of a mapping that was left out."""


class RunError(CartloaderError):
    """A part of a run failed; the rest of it is done.

    Parameters:
        message: what failed, in one sentence.
        result: everything that was finished.
        failures: why each of the others failed, by image id; a catalog goes by its path.
    """

    def __init__(self, message: str, result: RunResult, failures: dict[str, Exception]) -> None:
        super().__init__(message, result, failures)
        self.message = message
        self.result = result
        self.failures = failures

    def __str__(self) -> str:
        return self.message

    def table(self) -> str:
        """One line for each failure: what failed, and why."""
        width = max(map(len, self.failures))
        return "\n".join(f"{name:<{width}}  {sentence(error, name)}" for name, error in self.failures.items())
