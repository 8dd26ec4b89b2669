"""One action by itself, without Prefect: what a Makefile's recipes call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import ValidationError

from cartloader_flows.cli.display import stopping, watching
from cartloader_flows.cli.options import ActionCommand, PictureCommand, PlaneCommand
from cartloader_flows.cli.parser import Parser
from cartloader_image.action_params import GeoreferenceParams, Ome2PngParams, Png2PmtilesParams
from cartloader_image.errors import UsageError
from cartloader_image.options import Options
from cartloader_image.recipe.job import check_out_dir, explain
from cartloader_image.system.memory import keep_freed_memory

_MODELS: dict[str, tuple[type[ActionCommand], type[Options], str]] = {
    "ome2png": (PlaneCommand, Ome2PngParams, "One plane of a TIFF to a placed 8-bit GeoTIFF and a PNG."),
    "georeference": (PictureCommand, GeoreferenceParams, "A plain picture to a placed 8-bit GeoTIFF."),
    "png2pmtiles": (ActionCommand, Png2PmtilesParams, "The placed GeoTIFF OUT_DIR/ID.geotif.tif to map tiles."),
}


def _run(name: str, argv: Sequence[str]) -> int:
    command_model, params_model, words = _MODELS[name]
    image = "--in-img IMAGE " if "in_img" in command_model.model_fields else ""
    usage = f"cartloader {name} {image}--out-dir DIR --img-id ID"
    given = Parser(f"cartloader {name}", usage, words, command_model, params_model).read(argv)
    own = {key: given.pop(key) for key in command_model.model_fields if key in given}
    try:
        command = command_model.model_validate(own)
        params = command.params(**given)
    except ValidationError as error:
        raise UsageError(explain(error)) from error
    check_out_dir(command.out_dir)
    keep_freed_memory()
    from cartloader_image.recipe import actions  # noqa: PLC0415  (--help must not wait for numpy)

    with watching({command.img_id: name}, debug=command.debug) as watch, stopping(watch):
        getattr(actions, name)(params, watch.report(command.img_id))
    return 0


ome2png, georeference, png2pmtiles = (partial(_run, name) for name in _MODELS)
