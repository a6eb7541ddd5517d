"""The registry as the table that its import takes: download, change, bring back."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery
from import_export import resources
from import_export.fields import Field

from readings.formats.registry import guarded
from readings.models import Meter, MeterAssignment, Wallet

FORMATS = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
AT_ONCE = 2_000


def registry() -> QuerySet[Meter]:
    """Meters with who holds them now, and where that owner is paid."""
    held = MeterAssignment.objects.filter(meter=OuterRef("pk"), ends_at=None)
    paid = Wallet.objects.current().filter(owner=OuterRef("holder"))
    return (
        Meter.objects.annotate(
            holder=Subquery(held.values("owner")[:1]),
            user_id=Subquery(held.values("owner__user_id")[:1]),
            owner_name=Subquery(held.values("owner__name")[:1]),
            email=Subquery(held.values("owner__email")[:1]),
            held_from=Subquery(held.values("starts_at")[:1]),
        )
        .annotate(wallet_address=Subquery(paid.values("address")[:1]), meter_serial=F("serial"))
        .order_by("serial")
    )


class Text(Field):
    """Text that a spreadsheet takes for text, not for a formula."""

    def export(self, instance: Meter, **kwargs: Any) -> str:
        """The value, guarded as the import expects it."""
        return guarded(super().export(instance, **kwargs) or "")


class RegistryResource(resources.ModelResource):
    """One meter a line, in the import's columns."""

    user_id = Text(attribute="user_id", column_name="user_id")
    owner = Text(attribute="owner_name", column_name="name")
    email = Text(attribute="email", column_name="email")
    wallet = Text(attribute="wallet_address", column_name="wallet_address")
    meter_serial = Text(attribute="serial", column_name="meter_serial")
    meter_name = Text(attribute="name", column_name="meter_name")
    place = Text(attribute="location", column_name="location")
    interval_seconds = Field(attribute="interval_seconds", column_name="interval_seconds")
    held_from = Field(column_name="held_from")

    class Meta:
        model = Meter
        fields = export_order = (
            "user_id",
            "owner",
            "email",
            "wallet",
            "meter_serial",
            "meter_name",
            "place",
            "interval_seconds",
            "held_from",
        )
        chunk_size = AT_ONCE

    def dehydrate_held_from(self, meter: Any) -> str:
        """With its offset, so that nobody has to guess a zone."""
        since = meter.held_from
        return since.astimezone(UTC).isoformat() if since else ""


def registry_file(kind: str) -> bytes:
    """The whole registry, as ``csv`` or ``xlsx``."""
    written: bytes | str = RegistryResource().export(registry()).export(kind)
    return written.encode() if isinstance(written, str) else written
