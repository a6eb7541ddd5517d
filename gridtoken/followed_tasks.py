"""The queue's tasks carry the id of the request that they are of (``gridtoken.following``)."""

from __future__ import annotations

from typing import Any

import structlog
from django_q.signals import post_execute_in_worker, pre_enqueue, pre_execute

from gridtoken.following import KEY, current_request

log = structlog.get_logger(__name__)


def follow_tasks() -> None:
    """Listens to the queue; called once, when Django starts."""
    pre_enqueue.connect(_take_along, dispatch_uid="following")
    pre_execute.connect(_begin, dispatch_uid="following")
    post_execute_in_worker.connect(_end, dispatch_uid="following")


def _take_along(task: dict[str, Any], **_: Any) -> None:
    if request_id := current_request():
        task[KEY] = request_id


def _begin(task: dict[str, Any], **_: Any) -> None:
    told = {"task_id": task["id"], "task": str(task["func"]).rpartition(".")[2]}
    if KEY in task:
        told[KEY] = task[KEY]
    structlog.contextvars.bind_contextvars(**told)
    log.info("task_started")


def _end(**_: Any) -> None:
    structlog.contextvars.clear_contextvars()
