"""Whether anything is asked for, and options that do nothing in an import, which goes on all the same.

What an option does is known from the models: it is a parameter of an action, and without the action it does nothing.
Where pixels or place would be others than asked, an option is refused; that is no matter of this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cartloader_image.action_params import Ome2PngParams, Png2PmtilesParams
from cartloader_image.errors import UsageError
from cartloader_image.options import Options, option
from cartloader_image.params import TOOLS, ImportOptions, SharedOptions
from cartloader_image.run_params import CatalogOptions, OverlayOptions


def check_actions(options: SharedOptions) -> None:
    """Make sure that something is asked for.

    Raises:
        UsageError: no action.
    """
    if not (options.reads_the_image or options.update_catalog):
        raise UsageError(
            "no action: choose at least one of --ome2png, --png2pmtiles, --georeference (or a --georef-* source), "
            "--rotate, --flip-vertical, --flip-horizontal, --update-catalog"
        )


def notes(options: ImportOptions) -> Iterator[str]:
    """A sentence for each reason why options are without effect, and one where a tool's path makes an import slow."""
    actions: list[tuple[bool, type[Options], str]] = [
        (options.reads_the_image, Ome2PngParams, "where the image is not read"),
        (options.png2pmtiles, Png2PmtilesParams, "without --png2pmtiles"),
        (options.update_catalog, CatalogOptions, "without --update-catalog"),
        (options.png2pmtiles or options.update_catalog, OverlayOptions, "without --png2pmtiles"),
    ]
    settled = {name for asked, model, _ in actions if asked for name in model.model_fields}
    for asked, model, reason in actions:
        if not asked:
            idle = [name for name in model.model_fields if name not in settled]
            settled.update(idle)
            yield from _without_effect(options, idle, reason)
    if options.overlay_strict and not options.check_points:
        yield from _without_effect(options, ["overlay_strict"], "without --check-points")
    if options.reads_the_image and not options.orients:
        yield from _without_effect(options, ["orient_frame"], "without --rotate or a flip")
    if options.png2pmtiles and options.chosen_engine == "native":
        unused = TOOLS if options.shards else (*TOOLS, "tool_timeout")
        yield from _without_effect(options, unused, "with --engine native")
    if options.png2pmtiles and options.chosen_engine == "gdal":
        yield from _without_effect(options, ["shards"], "with --engine gdal")
    if options.png2pmtiles and options.chosen_engine == "gdal" and options.engine is None:
        tools = _given(options, TOOLS)
        selects, them = ("selects", "it") if len(tools) == 1 else ("select", "them")
        yield (
            f"{_listed(tools)} {selects} --engine gdal; without {them}, tiles are made by cartloader itself, many "
            "times as fast"
        )


def _without_effect(options: ImportOptions, names: Iterable[str], reason: str) -> Iterator[str]:
    if given := _given(options, names):
        yield f"{_listed(given)} {'does' if len(given) == 1 else 'do'} nothing {reason}"


def _given(options: ImportOptions, names: Iterable[str]) -> list[str]:
    """Those of the options that are not as they would be anyway."""
    fields = ImportOptions.model_fields
    return [name for name in names if name in fields and getattr(options, name) != fields[name].default]


def _listed(names: list[str]) -> str:
    *others, last = map(option, names)
    return f"{', '.join(others)} and {last}" if others else last
