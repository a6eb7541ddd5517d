"""A row of everything, and people of every ready-made group."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt, AccessLog
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.urls import reverse
from django.utils import timezone

from minting.access.models import ApiCall, ApiToken
from minting.access.scopes import Scope
from minting.models import (
    MintApproval,
    MintingStop,
    MintSelection,
    PollingPause,
    ReconcileFinding,
    ReconcileRun,
    WebhookDelivery,
    WebhookEndpoint,
)
from readings.models import ImportFile, MeterAssignment, MeterReading, Wallet, WalletChange
from tests.factories.readings import household
from tests.minting.admin import journal
from tests.minting.admin.rights import GROUPS, NOBODY


class Scene:
    """A row of everything, so that every page has something to show."""

    def __init__(self, people: dict[str, User]) -> None:
        batch = journal.failed_batch(readings=1)
        resident = household()
        resident.reading()
        now = timezone.now()
        run = ReconcileRun.objects.create(mint=journal.mint())
        finding = ReconcileFinding.objects.create(
            mint=run.mint, run=run, kind="missing", seen_at=now
        )
        stop = MintingStop.objects.create(
            reason="drill", stopped_by="x", resumed_by="x", resumed_at=now
        )
        token, _ = ApiToken.objects.issue(user=people[NOBODY], scopes=[Scope.READ], expires_in=None)
        wallet = Wallet.objects.first()
        assert wallet is not None
        waiting = MintApproval.objects.create(
            batch=journal.open_batch(),
            why="above",
            digest=bytes(32),
            expires_at=now,
            fee_cap_lamports=0,
        )
        endpoint = WebhookEndpoint.objects.create(
            url="https://example.org/", created_by="x", events=[], salt="00", secret_check="00"
        )
        told = WebhookDelivery.objects.create(
            endpoint=endpoint,
            sequence=1,
            message="m",
            type="batch.finished",
            body="{}",
            created_at=now,
            due_at=now,
            give_up_at=now,
        )
        self.people = people
        self.batch, self.transaction = batch, batch.transactions.get()
        self.rows: dict[str, Any] = {
            "minting_mintbatch": batch,
            "minting_minttransaction": self.transaction,
            "minting_mintresult": batch.results.get(),
            "minting_mintinfo": run.mint,
            "minting_mintingstop": stop,
            "minting_pollingpause": PollingPause.objects.create(
                reason="drill", paused_by="x", resumed_by="x", resumed_at=now
            ),
            "minting_reconcilerun": run,
            "minting_reconcilefinding": finding,
            "minting_mintapproval": waiting,
            "minting_webhookendpoint": endpoint,
            "minting_webhookdelivery": told,
            "readings_importfile": ImportFile.objects.create(
                kind="readings", name="june.csv", size=1, sha256="0" * 64, status="checked"
            ),
            "access_apicall": ApiCall.objects.create(
                username="x", endpoint="readings", path="/", effect=False, status=403
            ),
            "readings_meterreading": MeterReading.objects.mintable().first(),
            "readings_owner": wallet.owner,
            "readings_wallet": wallet,
            "readings_walletchange": WalletChange.objects.create(
                owner=wallet.owner,
                old_wallet=wallet,
                address=resident.wallet.address,
                way="command",
                expires_at=now + timedelta(days=1),
            ),
            "readings_meter": MeterAssignment.objects.get(owner=wallet.owner).meter,
            "readings_meterassignment": MeterAssignment.objects.get(owner=wallet.owner),
            "access_apitoken": token,
            "axes_accessattempt": AccessAttempt.objects.create(
                username="x", ip_address="127.0.0.1", failures_since_start=5
            ),
            "axes_accesslog": AccessLog.objects.create(username="x", ip_address="127.0.0.1"),
            "auth_user": people[NOBODY],
            "auth_group": Group.objects.get(name="Auditor"),
            "auditlog_logentry": apps.get_model("auditlog", "LogEntry").objects.first(),
        }

    def address(self, name: str, converters: list[str], user: User) -> str:
        """An address of this name with rows that are there."""
        arguments = {each: self._argument(each, name, user) for each in converters}
        return reverse(f"admin:{name}", kwargs=arguments)

    def _argument(self, parameter: str, name: str, user: User) -> Any:
        if parameter == "selection_id":
            return MintSelection.objects.get(created_by=user).pk
        if parameter == "app_label":
            return "minting"
        if parameter == "content_type_id":
            return ContentType.objects.get_for_model(User).pk
        if parameter == "kind":
            return "csv"
        if parameter == "result_id":
            return self.rows["minting_mintresult"].pk
        table = "_".join(name.split("_")[:2])
        return self.rows[table].pk if table in self.rows else user.pk


def people() -> dict[str, User]:
    """By group; those groups must be there."""
    made = {
        name: User.objects.create_user(name.lower(), password="x", is_staff=True)
        for name in (*GROUPS, NOBODY)
    }
    for name in GROUPS:
        made[name].groups.set([Group.objects.get(name=name)])
    made["superuser"] = User.objects.create_superuser("superuser", password="x")
    return made
