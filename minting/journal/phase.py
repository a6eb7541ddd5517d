"""A database phase: short, atomic, named."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import connection

P = ParamSpec("P")
R = TypeVar("R")


class OutsideTransactionError(RuntimeError):
    """A step of the journal was called without a database transaction: a bug."""


def atomic_phase(step: Callable[P, R]) -> Callable[P, R]:
    """Refuses to run ``step`` unless its caller opened the transaction that it is part of."""

    @wraps(step)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not connection.in_atomic_block:
            raise OutsideTransactionError(f"journal.{step.__name__} needs transaction.atomic()")
        return step(*args, **kwargs)

    return guarded
