"""One action by itself, without Prefect: what a Makefile's recipes call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from cartloader_flows.cli.display import watching
from cartloader_flows.cli.options import ActionCommand, PictureCommand, PlaneCommand
from cartloader_flows.cli.parser import Parser, checked
from cartloader_flows.cli.signals import stopping, work_is_done
from cartloader_image.action_params import CheckPointsParams, GeoreferenceParams, Ome2PngParams, Png2PmtilesParams
from cartloader_image.options import Options
from cartloader_image.recipe.job import check_out_dir
from cartloader_image.report import Report
from cartloader_image.system.memory import keep_freed_memory

ParamsT = TypeVar("ParamsT", bound=Options)


def ome2png(argv: Sequence[str]) -> int:
    """One plane of a TIFF to a placed 8-bit GeoTIFF and a PNG."""
    command, params = _read("ome2png", f"{ome2png.__doc__}", argv, PlaneCommand, Ome2PngParams)
    from cartloader_image.recipe import actions  # noqa: PLC0415  (--help must not wait for numpy)

    return _run(command, params, actions.ome2png)


def georeference(argv: Sequence[str]) -> int:
    """A plain picture to a placed 8-bit GeoTIFF."""
    command, params = _read("georeference", f"{georeference.__doc__}", argv, PictureCommand, GeoreferenceParams)
    from cartloader_image.recipe import actions  # noqa: PLC0415  (see above)

    return _run(command, params, actions.georeference)


def png2pmtiles(argv: Sequence[str]) -> int:
    """The placed GeoTIFF OUT_DIR/ID.geotif.tif to map tiles."""
    command, params = _read("png2pmtiles", f"{png2pmtiles.__doc__}", argv, ActionCommand, Png2PmtilesParams)
    from cartloader_image.recipe import actions  # noqa: PLC0415  (see above)

    return _run(command, params, actions.png2pmtiles)


def check_points(argv: Sequence[str]) -> int:
    """Whether OUT_DIR/ID.pmtiles lies under points."""
    command, params = _read("check_points", f"{check_points.__doc__}", argv, ActionCommand, CheckPointsParams)
    from cartloader_image.recipe import actions  # noqa: PLC0415  (see above)

    return _run(command, params, actions.check_points)


def _read(
    name: str, words: str, argv: Sequence[str], command_model: type[ActionCommand], params_model: type[ParamsT]
) -> tuple[ActionCommand, ParamsT]:
    """The command and its action's parameters."""
    image = "--in-img IMAGE " if "in_img" in command_model.model_fields else ""
    usage = f"cartloader {name} {image}--out-dir DIR --img-id ID"
    given = Parser(f"cartloader {name}", usage, words, command_model, params_model).read(argv)
    own = {key: given.pop(key) for key in command_model.model_fields if key in given}
    command = checked(command_model, own)
    check_out_dir(command.out_dir)
    return command, checked(params_model, given | command.params())


def _run(command: ActionCommand, params: ParamsT, action: Callable[[ParamsT, Report], object]) -> int:
    keep_freed_memory()
    with watching({command.img_id: action.__name__}, debug=command.debug) as watch, stopping(watch.stop):
        action(params, watch.report(command.img_id))
        work_is_done()
    return 0
