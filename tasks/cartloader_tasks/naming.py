"""What runs are called, and the tag by which all of them are found."""

from __future__ import annotations

from uuid import UUID

from prefect.runtime import flow_run

from cartloader_tasks.asking import ask

TAG = "cartloader"


def name_run(name: str) -> None:
    """Name the flow run that is here after what it does, and tag it.

    It is tagged by itself: a tag that is in force while it runs would be one of its tasks too, and Prefect asks the
    server for a slot for each tag of each task.
    """
    ask(lambda client: client.update_flow_run(UUID(flow_run.id), name=name, tags={TAG, *(flow_run.tags or ())}))
