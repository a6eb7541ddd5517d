"""A database that is away: told in one line a request, never as a fault with its traceback."""

from __future__ import annotations

import logging

from django.db.utils import InterfaceError, OperationalError

DATABASE_AWAY = (OperationalError, InterfaceError)
"""What Django raises when the server is gone, restarts, is full, or took too long: nothing that
a request could be blamed for, and nothing that stays."""


def is_fault(record: logging.LogRecord) -> bool:
    """A filter of ``django.request``, whose lines bear no request's id: faults alone.

    An answer that says no was given on purpose, and is in the request's own line; of a database
    that is away ``problems.server_error`` has told.
    """
    return bool(record.exc_info and not isinstance(record.exc_info[1], DATABASE_AWAY))
