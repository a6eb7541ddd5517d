"""``manage.py mint``: queues a batch, and waits for it if asked to."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from minting.engine.errors import PartiallySuccessful
from minting.engine.states import BatchStatus
from minting.management.answers import AnsweringCommand, told
from minting.management.selection import add_selection, selected
from minting.models import BatchSource, MintBatch
from minting.service.describe import describe_batch
from minting.service.requests.cancel import cancel_batch
from minting.service.requests.prepare import request_batch
from minting.service.requests.selections import freeze, picked
from minting.service.stopping import (
    describe_stop,
    resume_minting,
    standing_stop,
    stop_minting,
)
from readings import queries
from readings.errors import ReasonRequired

BY = "command line"
"""Who did it, where no user is known."""

LOOK_EVERY = 0.25
"""Seconds between two looks at a batch that is waited for."""

UNCLAIMED = 15.0
"""Seconds without any worker after which a waiting person is told how to start one."""


class Command(AnsweringCommand):
    help = "Queues a batch of readings for minting; a worker (manage.py qcluster) mints it."

    def add_arguments(self, parser: CommandParser) -> None:
        add_selection(parser)
        parser.add_argument(
            "--wait",
            action="store_true",
            help="show progress until the batch is done; exit non-zero unless all succeeded",
        )
        parser.add_argument("--json", action="store_true", help="answer as one JSON document")
        parser.add_argument(
            "--cancel", type=UUID, metavar="BATCH", help="take back what is not signed yet"
        )

        parser.add_argument(
            "--stop", metavar="REASON", help="sign nothing new anywhere; recovery goes on"
        )
        parser.add_argument("--resume", action="store_true", help="end the stop")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["stop"] is not None or options["resume"]:
            self._switch(options)
            return
        batch = self._cancel(options["cancel"]) if options["cancel"] else self._queue(options)
        if batch is None:
            self.say("Nothing is pending.")
            if options["json"]:
                self.answer_json(None)
            return
        if options["wait"]:
            batch = self._wait(batch)
        if options["json"]:
            self.answer_json(describe_batch(batch, with_results=True))
        else:
            self.stdout.write(self._sentence(batch))
        if options["wait"]:
            _require_success(batch)

    def _queue(self, options: dict[str, Any]) -> MintBatch | None:
        choice = selected(options)
        ids, selection = choice.ids, None
        if options["pending"]:
            # What is pending changes from one moment to the next; a batch is of one moment.
            selection = freeze(queries.pending(), None)
            ids = picked(selection)
            if not selection.items.exists():
                return None
        with told():
            batch = request_batch(
                ids,
                source=BatchSource.CLI,
                strict=choice.strict,
                allowed=choice.allowed,
                selection=selection,
            )
        self.say(f"Batch {batch.id}: {batch.total_readings} readings queued")
        return batch

    def _switch(self, options: dict[str, Any]) -> None:
        """Stops or resumes minting.

        Raises:
            CommandError: Both are asked for, or the reason is empty.
        """
        if options["stop"] is not None and options["resume"]:
            raise CommandError("Give either --stop REASON or --resume")
        if options["resume"]:
            stop = resume_minting(by=BY)
        else:
            try:
                stop = stop_minting(options["stop"], by=BY)
            except ReasonRequired as error:
                raise CommandError(str(error)) from error
        if options["json"]:
            self.answer_json(describe_stop(stop) if stop else {"stopped": False})
        elif stop is None:
            self.stdout.write("Minting was not stopped.")
        elif options["resume"]:
            self.stdout.write(f"Minting goes on; it was stopped: {stop.reason}")
        else:
            self.stdout.write(f"Minting is stopped by {stop.stopped_by}: {stop.reason}")

    def _cancel(self, batch_id: UUID) -> MintBatch:
        """Frees what is not signed; again, it answers as the first time.

        Raises:
            CommandError: There is no such batch, or it ended by itself.
        """
        batch = MintBatch.objects.filter(id=batch_id).first()
        if batch is None:
            raise CommandError(f"There is no batch {batch_id}")
        if batch.is_final and batch.cancel_requested_at is None:
            raise CommandError(f"The batch is finished ({batch.status}): nothing is left to cancel")
        freed = cancel_batch(batch_id, by=BY)
        self.say(f"{freed} readings are free again; what was signed goes its way")
        return MintBatch.objects.get(id=batch_id)

    def _wait(self, batch: MintBatch) -> MintBatch:
        progress, hindrance, begun = None, None, time.monotonic()
        while batch.is_worth_waiting_for:
            time.sleep(LOOK_EVERY)
            batch = MintBatch.objects.get(id=batch.id)
            now = (batch.status, batch.successful_mints, batch.failed_mints)
            if now != progress:
                self.say(self._sentence(batch))
                progress = now
            what = _hindrance(batch, waited=time.monotonic() - begun)
            if what and what != hindrance:
                self.say(what)
                hindrance = what
        return batch

    def _sentence(self, batch: MintBatch) -> str:
        seconds = ((batch.finished_at or timezone.now()) - batch.created_at).total_seconds()
        return (
            f"{batch.id} {batch.status}: {batch.successful_mints} minted, "
            f"{batch.failed_mints} failed, {batch.pending_mints} open of "
            f"{batch.total_readings} after {seconds:.1f} s"
        )


def _hindrance(batch: MintBatch, *, waited: float) -> str:
    """What a person who has waited so many seconds should know, if there is anything."""
    stop = standing_stop()
    if stop is not None:
        return f"Minting is stopped by {stop.stopped_by}: {stop.reason}"
    if batch.started_at is None and waited > UNCLAIMED:
        return "No worker has taken it yet: is `manage.py qcluster` running?"
    return ""


def _require_success(batch: MintBatch) -> None:
    """A non-zero exit unless all succeeded, with the seed's message where some did."""
    if batch.status == BatchStatus.PARTIALLY_SUCCEEDED:
        raise CommandError(str(PartiallySuccessful(batch.successful_mints, batch.total_readings)))
    if batch.status == BatchStatus.AWAITING_APPROVAL:
        raise CommandError("The batch waits for a second person's approval (admin, Approvals)")
    if batch.status != BatchStatus.SUCCEEDED:
        raise CommandError(f"Batch {batch.status}")
