"""What the queue calls: ids in, one service call, a summary out.

A task is a nudge. What is to be done lives in our tables, so a task may be lost, repeated, or run
twice at once.
"""

from __future__ import annotations

import os
import socket
from dataclasses import asdict
from typing import Any

from minting.service import reconcile as reconciling
from minting.service.describe import describe_reconciliation
from minting.service.recover import recover
from minting.service.session import open_session
from minting.service.submit import drive_waiting


def look() -> dict[str, Any]:
    """Drives slices that nobody drives, as many at once as ``BLOCKCHAIN_CONCURRENT_BATCHES``."""
    with open_session() as session:
        return asdict(drive_waiting(session, worker=worker_name()))


def sweep() -> dict[str, Any]:
    """Every minute: one recovery pass, and a nudge if slices wait."""
    with open_session() as session:
        return asdict(recover(session))


def reconcile() -> dict[str, Any]:
    """Every ten minutes: the chain against the journal, what is new of both."""
    with open_session() as session:
        return describe_reconciliation(reconciling.reconcile(session))


def reconcile_all() -> dict[str, Any]:
    """Once a day: the same, and all of the journal against its results."""
    with open_session() as session:
        return describe_reconciliation(reconciling.reconcile(session, thorough=True))


def worker_name() -> str:
    """Host and process, for people to read."""
    return f"{socket.gethostname()}:{os.getpid()}"
