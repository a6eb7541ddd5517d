"""Owners and meters, as they are told and as they are registered."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from minting.api.serializers import examples
from minting.api.serializers.fields import BlankIsNull, like
from readings.second_person import ChangeStatus, ChangeWay

LONGEST_INTERVAL = 86_400
"""Seconds: a day."""


class _Body(serializers.Serializer):
    """What a client sends. Null is what it is told where there is nothing, so it may say that."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The values; the database keeps no text as empty text."""
        blank = {name for name, each in self.fields.items() if getattr(each, "allow_blank", False)}
        return {
            name: "" if value is None and name in blank else value for name, value in attrs.items()
        }


class OwnerWalletSerializer(serializers.Serializer):
    """A wallet that an owner has or had."""

    address = serializers.CharField()
    registered_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True, help_text="Null: paid now.")


@like(examples.WALLET_CHANGE)
class WalletChangeSerializer(serializers.Serializer):
    """A wallet that would take the place of another, once a second person has approved it."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField([each.value for each in ChangeStatus])
    owner = serializers.CharField(source="owner.user_id", help_text="The owner's user_id.")
    owner_id = serializers.UUIDField()
    old_address = serializers.CharField(
        source="old_wallet.address",
        default=None,
        allow_null=True,
        help_text="Paid until it is approved; null: there was none any more.",
    )
    address = serializers.CharField(help_text="Paid from the approval on.")
    way = serializers.ChoiceField([each.value for each in ChangeWay])
    proposed_by = serializers.CharField(
        source="proposed_by.username",
        default=None,
        allow_null=True,
        help_text="User name; null: a command.",
    )
    proposed_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="Undecided until then, it expires.")
    decided_by = serializers.CharField(
        source="decided_by.username",
        default=None,
        allow_null=True,
        help_text="User name, also of who withdrew it; null: nobody, or a command.",
    )
    decided_at = serializers.DateTimeField(allow_null=True)
    reason = BlankIsNull(help_text="Why it was refused or withdrawn, or a remark.")


@like(examples.WALLET_CHANGE_WITHDRAWAL)
class WithdrawalSerializer(serializers.Serializer):
    """Why a request is taken back."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=500)


@like(examples.OWNER)
class OwnerSerializer(serializers.Serializer):
    """The person paid."""

    id = serializers.UUIDField()
    user_id = serializers.CharField()
    name = serializers.CharField()
    email = BlankIsNull()
    wallet_address = serializers.SerializerMethodField(help_text="Paid now; null: none is.")
    wallets = OwnerWalletSerializer(many=True, help_text="The newest first.")
    wallet_change = serializers.SerializerMethodField(
        help_text="What waits for a second person; null: nothing does."
    )
    created_at = serializers.DateTimeField()

    def get_wallet_address(self, owner: object) -> str | None:
        """Of the wallets at hand, the one that is not retired."""
        wallets = owner.wallets.all()  # type: ignore[attr-defined]  # prefetched
        return next((each.address for each in wallets if each.retired_at is None), None)

    @extend_schema_field(WalletChangeSerializer(allow_null=True))
    def get_wallet_change(self, owner: object) -> dict[str, Any] | None:
        """Of the requests at hand, the one that is open."""
        open_ones = owner.wallet_changes.all()  # type: ignore[attr-defined]  # prefetched: open
        return next((dict(WalletChangeSerializer(each).data) for each in open_ones), None)


@like(examples.OWNER_REGISTRATION)
class OwnerRegistrationSerializer(_Body):
    """A new owner."""

    user_id = serializers.CharField(max_length=64, help_text="The platform's name; it stays.")
    name = serializers.CharField(max_length=200)
    email = serializers.EmailField(required=False, allow_blank=True, allow_null=True)
    wallet_address = serializers.CharField(required=False, allow_null=True, max_length=100)


@like(examples.OWNER_CHANGE)
class OwnerChangeSerializer(_Body):
    """What changes; what is not named stays."""

    name = serializers.CharField(required=False, max_length=200)
    email = serializers.EmailField(required=False, allow_blank=True, allow_null=True)
    wallet_address = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=100,
        help_text="Retires the wallet of now, with four eyes on once a second person has "
        "approved it (202); null: without another, at once, and readings are held.",
    )


class AssignmentSerializer(serializers.Serializer):
    """Who holds or held a meter."""

    owner = serializers.CharField(source="owner.user_id", help_text="The owner's user_id.")
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(allow_null=True, help_text="Null: until further notice.")


@like(examples.METER)
class MeterSerializer(serializers.Serializer):
    """A meter, and who holds it when."""

    id = serializers.UUIDField()
    serial = serializers.CharField()
    name = BlankIsNull()
    location = BlankIsNull()
    interval_seconds = serializers.IntegerField()
    owner = serializers.SerializerMethodField(help_text="The user_id of who holds it now, or null.")
    assignments = AssignmentSerializer(many=True, help_text="The newest first.")
    registered_at = serializers.DateTimeField()

    def get_owner(self, meter: object) -> str | None:
        """Of the assignments at hand, the one without an end."""
        held = meter.assignments.all()  # type: ignore[attr-defined]  # prefetched
        return next((each.owner.user_id for each in held if each.ends_at is None), None)


class _MeterBody(_Body):
    name = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=200)
    location = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=200
    )
    interval_seconds = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=LONGEST_INTERVAL,
        help_text="How long an interval is when a reading tells only its end; 900 unless told.",
    )
    owner = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=64,
        help_text="The user_id of who holds it from owner_since on; null: nobody does.",
    )
    owner_since = serializers.DateTimeField(required=False, help_text="Unless told: now.")


@like(examples.METER_REGISTRATION)
class MeterRegistrationSerializer(_MeterBody):
    """A new meter."""

    serial = serializers.CharField(max_length=100, help_text="Clients name it so; it stays.")


@like(examples.METER_CHANGE)
class MeterChangeSerializer(_MeterBody):
    """What changes; what is not named stays."""
