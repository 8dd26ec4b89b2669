"""`cartloader import_image`: from its words to its exit code."""

from __future__ import annotations

import shlex
import shutil
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from cartloader_flows.cli.display import watching
from cartloader_flows.cli.options import ImportCommand
from cartloader_flows.cli.parser import Parser, checked
from cartloader_flows.cli.runs import check_recordable, run_directly, run_flow
from cartloader_flows.cli.signals import stopping, work_is_done
from cartloader_flows.cli.summary import plan_lines, summary, view_command
from cartloader_image.errors import StoppedError, UsageError, sentence
from cartloader_image.params import ImportOptions, SharedOptions
from cartloader_image.recipe.effects import check_actions
from cartloader_image.recipe.job import ImageJob
from cartloader_image.results import RunError
from cartloader_image.system.memory import keep_freed_memory

if TYPE_CHECKING:
    from cartloader_image.recipe.plan import ImportPlan

EXIT_FAILED, EXIT_WRONG_USE = 1, 2
_IMPORT = r"""Turn an image into map tiles (PMTiles) that lie under spatial-omics data.

examples:
  one plane of a microscope's image, where its own metadata place it
    cartloader import_image --ome2png --png2pmtiles --update-catalog \
      --in-img morphology.ome.tif --page 0 --out-dir map --img-id dapi

  a picture, by the bounds of its outer corners in µm
    cartloader import_image --png2pmtiles --update-catalog \
      --in-img histology.png --georef-bounds 6690,6772,7367,7449 \
      --out-dir map --img-id he

  many images with options of their own, two at a time
    cartloader import_image --png2pmtiles --update-catalog \
      --in-json images.yaml --n-jobs 2 --out-dir map
"""


def import_image(argv: Sequence[str]) -> int:
    """Turn images into map tiles."""
    parser = Parser(
        "cartloader import_image",
        "cartloader import_image ACTIONS --in-img IMAGE --img-id ID --out-dir DIR\n"
        "       cartloader import_image ACTIONS --in-json MAPPING --out-dir DIR",
        _IMPORT,
        ImportCommand,
        ImportOptions,
    )
    given = parser.read(argv)
    own = {name: given.pop(name) for name in ImportCommand.model_fields if name in given}
    # The entries of a mapping may name actions of their own, and complete the options.
    options = checked(SharedOptions if "in_json" in own else ImportOptions, given)
    if "in_json" not in own:
        check_actions(options)
    command = checked(ImportCommand, own)
    asked = command.jobs(options)
    jobs = asked.jobs
    for note in asked.notes:
        print(f"note: {note}", file=sys.stderr)
    keep_freed_memory()
    from cartloader_image.recipe.plan import planned  # noqa: PLC0415  (--help must not wait for numpy)

    if command.dry_run:
        return _show_plans(jobs, command.makefile)
    sources = {job.out.img_id: job.in_img.name if job.in_img else "" for job in jobs}
    try:
        with (
            watching(sources, debug=command.debug, summed_up=True) as watch,
            stopping(watch.stop),
            ExitStack() as plans,
        ):
            if not command.direct:
                check_recordable(command, options)
            if len(jobs) == 1 and (command.makefile or not command.direct):
                plan = plans.enter_context(planned(jobs[0]))  # the run goes on with what is open
                if command.makefile:
                    _write_makefile(plan, command.makefile)
                plan.check_disk()  # not after 15 s of starting a server
            if command.direct:
                result = run_directly(asked, command.n_jobs, watch.report)
            else:
                result = run_flow(command, options, watch.report)
            work_is_done()
    except RunError as failure:
        return _report_failure(failure, command, sources)
    print(summary(result, sources, _width()))
    if sys.stdout.isatty() and (command_line := view_command(result, command.out_dir)):
        print(f"look at it:  {command_line}")
    return 0


def _width() -> int | None:
    """Columns of the terminal; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _write_makefile(plan: ImportPlan, path: Path) -> None:
    from cartloader_image.recipe.makefile import write_makefile  # noqa: PLC0415  (see import_image)

    write_makefile(plan, path)


def _show_plans(jobs: list[ImageJob], makefn: Path | None) -> int:
    """Print what the import of each image would do and take, and which could not begin; write their Makefiles."""
    from cartloader_image.recipe.plan import planned  # noqa: PLC0415  (see import_image)

    code = 0
    for job in jobs:
        try:
            with planned(job, look=True) as plan:
                path = makefn or job.out.path(".mk")
                _write_makefile(plan, path)
                print("\n".join([*plan_lines(plan, _width()), f"  run it later    make -f {shlex.quote(str(path))}"]))
                plan.check_disk()
        except Exception as error:
            if len(jobs) == 1:
                raise
            print(f"{job.out.img_id}  {sentence(error, job.out.img_id)}", file=sys.stderr)
            code = EXIT_FAILED
    return code


def _report_failure(failure: RunError, command: ImportCommand, sources: dict[str, str]) -> int:
    """Say what was done and what was not; only the wrong use of a single image is wrong use of the command."""
    errors = list(failure.failures.values())
    if stopped := [error for error in errors if isinstance(error, StoppedError)]:
        raise stopped[0]
    work_is_done()
    if done := summary(failure.result, sources, _width()):
        print(done)
    if command.debug:
        for error in errors:
            traceback.print_exception(error)
    print(f"{failure}\n{failure.table()}" if len(sources) > 1 else str(failure), file=sys.stderr)
    wrong_use = not command.in_json and any(isinstance(error, UsageError) for error in errors)
    return EXIT_WRONG_USE if wrong_use else EXIT_FAILED
