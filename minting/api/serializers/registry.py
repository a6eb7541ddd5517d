"""Owners and meters, as they are told and as they are registered."""

from __future__ import annotations

from rest_framework import serializers

from minting.api.serializers import examples
from minting.api.serializers.fields import BlankIsNull, like

LONGEST_INTERVAL = 86_400
"""Seconds: a day."""


class OwnerWalletSerializer(serializers.Serializer):
    """A wallet that an owner has or had."""

    address = serializers.CharField()
    registered_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True, help_text="Null: paid now.")


@like(examples.OWNER)
class OwnerSerializer(serializers.Serializer):
    """The person paid."""

    id = serializers.UUIDField()
    user_id = serializers.CharField()
    name = serializers.CharField()
    email = BlankIsNull()
    wallet_address = serializers.SerializerMethodField(help_text="Paid now; null: none is.")
    wallets = OwnerWalletSerializer(many=True, help_text="The newest first.")
    created_at = serializers.DateTimeField()

    def get_wallet_address(self, owner: object) -> str | None:
        """Of the wallets at hand, the one that is not retired."""
        wallets = owner.wallets.all()  # type: ignore[attr-defined]  # prefetched
        return next((each.address for each in wallets if each.retired_at is None), None)


@like(examples.OWNER_REGISTRATION)
class OwnerRegistrationSerializer(serializers.Serializer):
    """A new owner."""

    user_id = serializers.CharField(max_length=64, help_text="The platform's name; it stays.")
    name = serializers.CharField(max_length=200)
    email = serializers.EmailField(required=False, allow_blank=True)
    wallet_address = serializers.CharField(required=False, allow_null=True, max_length=100)


@like(examples.OWNER_CHANGE)
class OwnerChangeSerializer(serializers.Serializer):
    """What changes; what is not named stays."""

    name = serializers.CharField(required=False, max_length=200)
    email = serializers.EmailField(required=False, allow_blank=True)
    wallet_address = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=100,
        help_text="Retires the wallet of now; null: without another, and readings are held.",
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


class _MeterBody(serializers.Serializer):
    name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    location = serializers.CharField(required=False, allow_blank=True, max_length=200)
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
