"""``manage.py reconcile``: chain against journal, both ways; heals a restored database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from minting.engine.errors import BlockchainError
from minting.management.answers import AnsweringCommand
from minting.service.audit.reconcile import reconcile_after_recovery
from minting.service.chain.session import open_session
from minting.service.describe import describe_reconciliation

DIFFERS = 1
UNASKED = 2


class Command(AnsweringCommand):
    help = (
        "Recovers, waits for finality, then compares the chain with the database at finalized. "
        "What is younger or in doubt is in flight, and no difference. Exits 1 on any difference, "
        "2 when the chain could not be asked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--adopt",
            type=Path,
            metavar="FILE",
            help="a file of MINT_JOURNAL_DIR, or an audit pack: restores the results that its "
            "leaves prove",
        )
        parser.add_argument("--json", action="store_true", help="answer as one JSON document")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            with open_session() as session:
                report = reconcile_after_recovery(session, adopt=options["adopt"])
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}", returncode=UNASKED) from error
        except BlockchainError as error:
            raise CommandError(f"{error} ({error.code})", returncode=UNASKED) from error
        document = describe_reconciliation(report)
        if options["json"]:
            self.answer_json(document)
        else:
            self._tell(document)
        if not report.clean:
            many = report.run.differences
            raise CommandError(
                f"{many} difference{'' if many == 1 else 's'}: what to do is in docs/runbook.md, "
                "Reconciliation found differences",
                returncode=DIFFERS,
            )

    def _tell(self, told: dict[str, Any]) -> None:
        self.stdout.write(
            f"{told['transactions_seen']} transactions seen up to slot {told['slot']}, "
            f"{told['audited']} of the journal compared, {told['in_flight']} in flight, "
            f"supply {told['supply_on_chain']:,} of {told['supply_explained']:,} explained, "
            f"{told['adopted']} adopted, {told['differences']} differences"
        )
        for finding in told["findings"]:
            about = finding["signature"] or finding["wallet"] or "all"
            self.stdout.write(
                f"  {finding['kind']} {about}: on chain {finding['on_chain']}, "
                f"in the journal {finding['in_journal']}. {finding['detail']}"
            )
        for held in told["held"]:
            self.stdout.write(f"  held {held['signature']}: {held['reason']}")
