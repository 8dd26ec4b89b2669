"""The actions of cartloader as Prefect tasks."""

from cartloader_tasks.actions import TaskActions, import_and_record, import_job
from cartloader_tasks.artifacts import record_run, run_progress
from cartloader_tasks.reports import Watcher, stopping_together, watched_by

__all__ = [
    "TaskActions",
    "Watcher",
    "import_and_record",
    "import_job",
    "record_run",
    "run_progress",
    "stopping_together",
    "watched_by",
]
