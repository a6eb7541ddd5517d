"""One id from a request to whatever comes of it: tasks of the queue, batches, transactions.

A request's lines carry its ``request_id`` (``gridtoken.requests``). What it puts into the queue
takes the id along, beside the task's own. A batch remembers the request that asked for it, so that
every line about a batch names both, whichever worker writes it and however much later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import MutableMapping
from typing import Any

import structlog

KEY = "request_id"
REMEMBERED = 10_000
"""Batches whose requests a process knows: more than it ever drives at once."""

_requests: OrderedDict[str, str] = OrderedDict()


def current_request() -> str:
    """The id of the request that is being served here, or whose task this is; empty: none."""
    return str(structlog.contextvars.get_contextvars().get(KEY, ""))


def remember(batch_id: object, request_id: str) -> None:
    """From now on each line of this process that names the batch names the request too."""
    if request_id:
        _requests[str(batch_id)] = request_id
        _requests.move_to_end(str(batch_id))
        if len(_requests) > REMEMBERED:
            _requests.popitem(last=False)


def name_the_request(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A processor of structlog's: the request of a line's batch, unless it names one already."""
    request_id = _requests.get(str(event.get("batch_id", "")))
    if request_id:
        event.setdefault(KEY, request_id)
    return event


def forget_request() -> None:
    """For a task that works for everybody: who happened to call it is not whose work it is."""
    structlog.contextvars.unbind_contextvars(KEY)
