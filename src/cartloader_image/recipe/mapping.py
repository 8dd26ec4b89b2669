"""From a mapping of images to their jobs: its entries, completed by what is asked for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from cartloader_image.errors import InputError, UsageError, sentence
from cartloader_image.images.stack import further_images, stack_of
from cartloader_image.options import option
from cartloader_image.params import TOOLS, ImportOptions, SharedOptions
from cartloader_image.recipe.entries import Entry, Value, printable, read_entry, read_mapping
from cartloader_image.recipe.job import ImageJob, explain, single_job
from cartloader_image.recipe.outputs import check_files
from cartloader_image.values import at_home, check_image_id


class Mapped(NamedTuple):
    """What a mapping asks for."""

    jobs: list[ImageJob]
    notes: tuple[str, ...]
    """What a person should know of how it was understood as a whole."""


def mapped_jobs(
    in_json: Path,
    out_dir: Path,
    options: SharedOptions,
    img_ids: Iterable[str] | None = None,
    elsewhere: Path | None = None,
) -> Mapped:
    """The jobs of a mapping from ids to paths, or to objects of a ``path`` and options of their own.

    An image's own options win over ``options``, and have to fit together with them.

    Args:
        in_json: The mapping, in JSON or YAML, or a sample sheet in CSV or TSV.
        out_dir: Directory of the output files.
        options: What is asked for all images.
        img_ids: The images to import, in this order; all unless given.
        elsewhere: Where a relative path leads that is there and not beside the mapping; nowhere unless given.

    Raises:
        InputError: the mapping cannot be read.
        UsageError: it is no such mapping, ids collide, an option in it is wrong, or the import would write over what
            it reads.
    """
    found = read_mapping(in_json, options.budget)
    _check_ids(in_json, (name for name, value in found.items() if value is not None))
    chosen = list(dict.fromkeys(img_ids or found))
    if unknown := [name for name in chosen if name not in found]:
        raise UsageError(f"--img-id {unknown[0]} is not in {in_json}; it has {_few(found)}")
    entries = {name: _entry(in_json, name, found[name]) for name in chosen}
    lacking = [name for name in chosen if entries[name].path is None]
    if lacking and (img_ids or len(lacking) == len(chosen)):
        raise UsageError(f"{in_json}: {lacking[0]} has no path, so that there is nothing to import")
    jobs = [_job(in_json, name, entries[name], out_dir, options, elsewhere) for name in chosen if name not in lacking]
    check_files(jobs, in_json)
    left_out = f"{in_json.name}: {_few(lacking)} left out, without a path"
    return Mapped(jobs, (left_out,) if lacking else ())


def settled_images(jobs: list[ImageJob], settled: float) -> dict[str, str]:
    """The images that are there and complete, by id, each with a text that changes when it or its options do.

    An image that is not there yet, or was written to in the last ``settled`` seconds, is still on its way. One that
    cannot be looked at counts as complete: what is wrong with it, its import tells.
    """
    found: dict[str, str] = {}
    for job in jobs:
        stamp = job.fault
        if job.in_img is not None:
            try:
                points = [job.points] if job.points else []
                read = job.in_img, *further_images(job.in_img, job.options), *points
                states = [path.stat() for path in read]
            except FileNotFoundError:
                continue
            except (OSError, InputError) as error:
                stamp = sentence(error)
            else:
                if max(state.st_mtime for state in states) > time.time() - settled:
                    continue
                stamp = " ".join(
                    f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}" for state in states
                )
        found[job.out.img_id] = f"{stamp} {job.model_dump_json(exclude_defaults=True)}"
    return found


def _check_ids(in_json: Path, ids: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in ids:
        try:
            check_image_id(name)
        except ValueError as error:
            raise UsageError(f"{in_json}: {error}") from None
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise UsageError(f"{in_json}: ids {other} and {name} differ only in case; rename one")


def _entry(in_json: Path, img_id: str, value: Value) -> Entry:
    try:
        return read_entry(img_id, value)
    except UsageError as error:
        raise UsageError(printable(f"{in_json}: {error}")) from None


def _few(names: Iterable[str]) -> str:
    """The names, as far as anybody wants to read them."""
    first, rest = list(names)[:20], list(names)[20:]
    return ", ".join(first) + (f" and {len(rest):,} more" if rest else "")


def _job(
    in_json: Path, img_id: str, entry: Entry, out_dir: Path, options: SharedOptions, elsewhere: Path | None
) -> ImageJob:
    """The job of one entry; one with a path that cannot be has a fault, so that the others go on."""
    notes: list[str] = []
    own: dict[str, object] = {}
    faults: dict[str, str] = {}
    try:
        for name, given in {"path": entry.path or "", **entry.options}.items():
            problem = _problem(given)
            if isinstance(given, list) or not (name == "path" or ImportOptions.is_path(name, given)):
                own[name] = _without(problem, name, given)
            elif problem:
                faults[name] = f"{in_json}: the path {given!r} {problem}, which is in no file's name"
            elif name == "path" and "z_stack" not in entry.options and (stack := _stack(in_json, given, elsewhere)):
                own["path"], *others = map(str, stack)
                own |= {"z_stack": Path(given).name} if others else {}
            else:
                found, note = _found(in_json, given, elsewhere)
                # a bare name is looked for elsewhere, or read as a number
                own[name] = str(found.absolute() if name in {*TOOLS, "pixel_size"} else found)
                notes += note
        path = Path(str(own.pop("path"))) if "path" in own else None
        merged = ImportOptions.model_validate(options.model_dump(exclude_unset=True) | own)
        if not merged.reads_the_image:
            faults.pop("path", None)
        fault = next(iter(faults.values()), "")
        return single_job(path, img_id, out_dir, merged, notes=tuple(notes), fault=fault)
    except ValidationError as error:
        raise UsageError(printable(f"{in_json}: {img_id}: {explain(error)}")) from None
    except UsageError as error:
        raise UsageError(printable(f"{in_json}: {img_id}: {error}")) from None


def _found(in_json: Path, text: str, elsewhere: Path | None) -> tuple[Path, list[str]]:
    """The file that a path in a mapping means, and a note where that is not the one beside the mapping."""
    path = at_home(text)
    beside = in_json.parent / path
    if elsewhere is None or _is_there(beside) or not _is_there(other := elsewhere / path):
        return beside, []
    return other, [f"{text} is not beside {in_json.name}: taken from the working directory, {other}"]


def _stack(in_json: Path, text: str, elsewhere: Path | None) -> list[Path]:
    """The files of the z stack that a pattern in place of a path means; none where a file has this very name."""
    found, _ = _found(in_json, text, elsewhere)
    with suppress(InputError):
        if set(found.name) & set("*?[") and not _is_there(found):
            return stack_of(found, found.name)
    return []


def _is_there(path: Path) -> bool:
    with suppress(OSError):
        return path.exists()
    return False


def _without(problem: str, name: str, value: str | list[str]) -> str | list[str]:
    if problem:
        raise UsageError(f"{option(name)} {value!r} {problem}")
    return value


def _problem(value: str | list[str]) -> str:
    """What is wrong with the characters of a value; no option has a use for these."""
    text = "".join(value)
    if "\0" in text:
        return "holds a NUL character"
    return "holds half of a surrogate pair" if printable(text) != text else ""
