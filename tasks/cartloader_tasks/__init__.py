"""The actions of cartloader as Prefect tasks."""

from cartloader_tasks.actions import import_and_record, import_job, import_job_elsewhere, update_catalog
from cartloader_tasks.artifacts import record_run, run_progress
from cartloader_tasks.events import tell_of_failures
from cartloader_tasks.naming import name_run
from cartloader_tasks.outcomes import called, ending_in_a_sentence
from cartloader_tasks.remembered import Remembered
from cartloader_tasks.reports import Watcher, run_report, stopping_together, watched_by
from cartloader_tasks.sharing import check_found, check_seen, size_of

__all__ = [
    "Remembered",
    "Watcher",
    "called",
    "check_found",
    "check_seen",
    "ending_in_a_sentence",
    "import_and_record",
    "import_job",
    "import_job_elsewhere",
    "name_run",
    "record_run",
    "run_progress",
    "run_report",
    "size_of",
    "stopping_together",
    "tell_of_failures",
    "update_catalog",
    "watched_by",
]
