"""A database that is away: told in one line a request, never as a fault with its traceback."""

from __future__ import annotations

import logging

from django.db.utils import InterfaceError, OperationalError

DATABASE_AWAY = (OperationalError, InterfaceError)
"""What Django raises when the server is gone, restarts, is full, or took too long: nothing that
a request could be blamed for, and nothing that stays."""


def is_not_away(record: logging.LogRecord) -> bool:
    """A filter of ``django.request``: ``problems.server_error`` has told it by then."""
    return not (record.exc_info and isinstance(record.exc_info[1], DATABASE_AWAY))
