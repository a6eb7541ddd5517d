"""``manage.py qcluster``: a worker, after the questions that must be asked before it signs."""

from __future__ import annotations

from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandError

from minting import schedules
from minting.management.answers import told
from minting.service.chain.preflight import inspect_patiently, require_keys
from minting.service.chain.session import open_session
from minting.service.history import gate
from minting.watchdog.watchdog import Watchdog

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Starts a worker: a django-q2 cluster with our schedules, checks, and a watchdog."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Refuses to start on a wrong cluster, mint or key, or on a database that may forget."""
        # A silent node is a warning only.
        self.check(databases=["default"])
        with told(), open_session() as session:
            signer = session.open_signer()
            if signer.address != session.config.need_authority():
                raise CommandError(
                    f"The key is that of {signer.address}, "
                    f"MINT_AUTHORITY_ADDRESS says {session.config.need_authority()}"
                )
            found = inspect_patiently(session)
            if found is not None:
                require_keys(session, found.facts, signer)
            gate.check_at_start(session, found.info if found else None)
        log.info("worker_starts", asked_the_chain=found is not None)
        watchdog = Watchdog()
        watchdog.listen()
        schedules.synchronise()
        watchdog.run()
