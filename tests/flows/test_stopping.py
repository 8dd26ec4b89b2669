"""What a task checks: whether its run is stopped, and whether whoever watches has stopped it."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO

import pytest
from prefect import flow

from cartloader_flows.cli.display import Lines, Watch
from cartloader_image.errors import StoppedError
from cartloader_image.report import Stage
from cartloader_tasks import run_report, stopping_together, watched_by


@pytest.mark.usefixtures("server")
def test_a_task_checks_its_run_and_who_watches() -> None:
    lines = StringIO()
    watch = Watch(Lines(lines))
    reports = []

    @flow
    def run() -> None:
        with watched_by(watch.report), suppress(KeyboardInterrupt), stopping_together():
            reports.append(run_report("a"))
            reports[0].check()
            raise KeyboardInterrupt
        with watched_by(watch.report):
            reports.append(run_report("b"))

    run()
    stopped, watched = reports
    with pytest.raises(StoppedError, match="the run was stopped"):
        stopped.check()
    stopped.progress(Stage.PNG, 1, 1)
    assert lines.getvalue().startswith("a  png")
    watched.check()
    watch.stop()
    with pytest.raises(StoppedError, match="interrupted"):
        watched.check()
