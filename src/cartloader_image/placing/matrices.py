"""Matrices that place a picture: how their files are read, whatever program wrote them.

A matrix takes a point of the picture as stored, ``(column, row)`` from the corner of its first pixel, to the map.
"""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from pmtiles.tile import Compression, deserialize_header

from cartloader_image.action_params import RasterParams
from cartloader_image.budget import USUAL, Budget, Cost
from cartloader_image.crs import crs_name
from cartloader_image.errors import InputError, UsageError, shortened
from cartloader_image.images.beside import experiment_file
from cartloader_image.images.source import Source
from cartloader_image.placing.affine_files import read_affine, table_affine
from cartloader_image.placing.bounds import micron2pixel
from cartloader_image.placing.landmarks import Fit, fit_landmarks, read_landmarks
from cartloader_image.placing.scale import asked_pixel_size
from cartloader_image.system.reading import read_file
from cartloader_image.system.texts import text_of

XENIUM_PIXEL = 0.2125
"""µm of a pixel of Xenium's morphology images (10x Genomics, Understanding Xenium Outputs)."""
_ROUNDING = 1e-9
"""Share of a pixel's side by which a matrix may turn it and still be the rounding of one that does not."""
_ARCHIVE, _HEADER = b"PMTiles", 127
"""How an archive begins, and the bytes of its header (PMTiles v3, section 3)."""
_FROM_CENTRE = Affine.translation(-0.5, -0.5)
"""Points that are counted from the corner of the first pixel, as they are counted from its centre."""


@dataclass(frozen=True)
class Matrix:
    """Where a matrix puts a picture, and by what."""

    affine: Affine
    """Stored pixel corner ``(column, row)`` at full size → µm."""
    origin: str
    """What kind of file says it."""
    files: tuple[Path, ...] = ()
    """The files that say it."""
    notes: tuple[str, ...] = ()
    fit: Fit | None = None
    """How well landmarks agree with it."""


def matrix_of(source: Source, params: RasterParams) -> Matrix | None:
    """The matrix that the options name; None where they name none, or Vizgen's that neither turns nor shears.

    Raises:
        InputError: its file cannot be read, is none, or gives the picture no area.
        UsageError: the options do not suit the file, or the file the picture.
    """
    found = _named(source, params)
    if found is None:
        return None
    affine, file = _straightened(found.affine), found.files[0]
    linear = np.array([[affine.a, affine.b], [affine.d, affine.e]])
    if not np.isfinite(affine[:6]).all():
        raise InputError(f"{file}: the matrix has numbers beyond all measure; check where it comes from")
    greatest, least = np.linalg.svd(linear, compute_uv=False)
    if least <= greatest * _ROUNDING:
        raise InputError(f"{file}: the matrix gives the picture no area; check where it comes from")
    return Matrix(affine, found.origin, found.files, found.notes, found.fit)


def _named(source: Source, params: RasterParams) -> Matrix | None:
    if source.slide:
        um = asked_pixel_size(source, params)
        assert um is not None, "positions say it where no option does"
        said = (params.fov_positions, params.fov_transcripts, params.pixel_size)
        tables = tuple(file for file in said if isinstance(file, Path))
        return Matrix(Affine.scale(*um) @ source.slide, "fields of view", tables)
    if params.georef_affine:
        return _affine(source, params, params.georef_affine)
    if params.xenium_alignment:
        file = params.xenium_alignment
        affine = table_affine(text_of(file, "--xenium-alignment", params.budget), file, "--xenium-alignment")
        unit, files, notes = xenium_unit(file, params.budget)
        return Matrix(Affine.scale(unit) @ affine, "xenium alignment", (file, *files), notes)
    if params.georef_landmarks:
        file = params.georef_landmarks
        landmarks = read_landmarks(text_of(file, "--georef-landmarks", params.budget), file)
        unit, files, notes = xenium_unit(file, params.budget) if landmarks.in_dapi_pixels else (1.0, (), ())
        pixel = asked_pixel_size(source, params) or source.pixel_size
        fit = fit_landmarks(landmarks.scaled(unit), params.landmark_model, source.full_size, pixel)
        return Matrix(fit.affine, "landmarks", (file, *files), (*notes, *fit.notes), fit)
    if params.micron2pixel_csv:
        to_pixels = micron2pixel(params.micron2pixel_csv, *source.full_size, params.budget)
        if to_pixels.b or to_pixels.d:
            return Matrix(~to_pixels, "vizgen", (params.micron2pixel_csv,))
    return None


def _affine(source: Source, params: RasterParams, file: Path) -> Matrix:
    if _begins(file, _ARCHIVE):
        return _archived(source, params, file)
    read, asked = read_affine(file, params.budget), params.georef_affine_unit
    if asked and read.unit and abs(asked / read.unit - 1) > _ROUNDING:
        raise UsageError(
            f"--georef-affine-unit {asked:g}: the axes of {file} have a unit of {read.unit:g} µm; leave the option out"
        )
    origin = params.georef_affine_origin or ("center" if read.centred else "corner")
    affine = Affine.scale(asked or read.unit or 1.0) @ read.affine
    note = "its matrix is taken to count from the centre of the first pixel, as NGFF does (--georef-affine-origin)"
    return Matrix(
        affine @ _FROM_CENTRE if origin == "center" else affine,
        "affine",
        (file,),
        (note,) if read.centred and not params.georef_affine_origin else (),
    )


def _begins(file: Path, magic: bytes) -> bool:
    """Whether a file begins so; one that cannot be read is told of by its reader."""
    with suppress(OSError):
        return read_file(file, len(magic)) == magic
    return False


def xenium_unit(file: Path, budget: Budget = USUAL) -> tuple[float, tuple[Path, ...], tuple[str, ...]]:
    """µm per pixel of the run that a file belongs to, what says it, and a note where nothing does.

    Raises:
        InputError: the run's manifest has none.
    """
    manifest = experiment_file(file)
    if manifest is None:
        note = f"no experiment.xenium lies beside {file.name}: a pixel of the DAPI image is taken for {XENIUM_PIXEL} µm"
        return XENIUM_PIXEL, (), (note,)
    try:
        size = json.loads(text_of(manifest, "--xenium-alignment", budget))["pixel_size"]
    except (KeyError, TypeError, ValueError, RecursionError):
        size = None
    if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < float("inf"):
        raise InputError(
            f"{manifest}: has no pixel_size in µm; mend it, or give the matrix by --georef-affine with its unit by "
            "--georef-affine-unit"
        )
    return float(size), (manifest,), ()


def _straightened(affine: Affine) -> Affine:
    """The affine without what is the rounding of a quarter turn, or of none, so that no pixel is resampled for it."""
    a, b, c, d, e, f = affine[:6]
    if max(abs(b), abs(d)) <= _ROUNDING * min(abs(a), abs(e)):
        return Affine(a, 0.0, c, 0.0, e, f)
    if max(abs(a), abs(e)) <= _ROUNDING * min(abs(b), abs(d)):
        return Affine(0.0, b, c, d, 0.0, f)
    return affine


def _archived(source: Source, params: RasterParams, file: Path) -> Matrix:
    """The matrix by which an archive says that its picture was placed, for a picture of the same pixel grid."""
    if params.georef_affine_origin or params.georef_affine_unit:
        raise UsageError(
            f"--georef-affine {file}: an archive's matrix has its own origin and unit; leave the options out"
        )
    receipt = _receipt(file, params.budget)
    try:
        values = [float(value) for value in receipt["affine"]]
        size, pixels = ([int(n) for n in pair] for pair in (receipt["placing"]["full_size"], receipt["image_size"]))
        crs = str(receipt["crs"])
        affine = Affine(*values) @ Affine.scale(pixels[0] / size[0], pixels[1] / size[1])
    except (LookupError, TypeError, ValueError, ZeroDivisionError):
        raise InputError(
            f"{file}: its metadata do not say how its picture was placed; import that picture again, or give the matrix"
        ) from None
    height, width = source.full_size
    if size != [width, height]:
        raise UsageError(
            f"{params.in_img}: has {width:,} × {height:,} pixels, and {file} places a picture of {size[0]:,} × "
            f"{size[1]:,}; only one of the same pixel grid can be placed by it"
        )
    if crs_name(params.srs) != crs:
        raise UsageError(f"--srs {params.srs}: {file} is placed in {shortened(crs)}; give that one")
    return Matrix(affine, "archive", (file,))


def _receipt(file: Path, budget: Budget) -> dict[str, Any]:
    """What an archive's metadata say of its making; empty where they say nothing (PMTiles v3, sections 3 and 5)."""
    try:
        header = deserialize_header(read_file(file, _HEADER))
        start, length = header["metadata_offset"], header["metadata_length"]
        budget.check(file, Cost.TEXT, length)
        with file.open("rb") as archive:
            archive.seek(start)
            data = archive.read(length)
        if header["internal_compression"] == Compression.GZIP:
            data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, budget.most(Cost.TEXT))
        said = json.loads(data)["cartloader"]
    except InputError:
        raise
    except Exception:  # noqa: BLE001  (whatever a damaged archive makes its reader raise)
        return {}
    return said if isinstance(said, dict) else {}
