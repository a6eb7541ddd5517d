"""Bodies and answers of the doors, as the API's description tells them; intake judges values."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from minting.api.doors import examples
from minting.api.serializers.fields import like
from readings.rules import KWH_PLACES, OBIS_EXPORT, OBIS_IMPORT


def _kwh(**extra: Any) -> serializers.DecimalField:
    """Energy, as a number or as text."""
    return serializers.DecimalField(
        max_digits=20, decimal_places=KWH_PLACES, required=False, allow_null=True, **extra
    )


@like(examples.DOOR_READING)
class DoorReadingSerializer(serializers.Serializer):
    """A reading of the gateway's clients; other members are ignored, nulls are absent."""

    meter_serial = serializers.CharField(
        required=False, allow_null=True, help_text="Or meter_id; not where the address names it."
    )
    meter_id = serializers.CharField(required=False, allow_null=True)
    surplus_energy = _kwh(help_text="The exported energy, before kwh_amount and kwh.")
    kwh_amount = _kwh()
    kwh = _kwh()
    reading_timestamp = serializers.DateTimeField(
        required=False, allow_null=True, help_text="Or timestamp: when the interval ended."
    )
    timestamp = serializers.DateTimeField(required=False, allow_null=True)
    interval_seconds = serializers.IntegerField(
        required=False, allow_null=True, help_text="Unless given, the meter's."
    )
    energy_generated = _kwh()
    energy_consumed = _kwh()
    meter_signature = serializers.CharField(required=False, allow_null=True)
    reading_id = serializers.CharField(required=False, allow_null=True)
    wallet_address = serializers.CharField(
        required=False, allow_null=True, help_text="Ignored: the meter's registration decides."
    )


@like(examples.DOOR_READINGS)
class DoorReadingsSerializer(serializers.Serializer):
    """Up to 1,000 of them."""

    readings = DoorReadingSerializer(many=True)


@like(examples.DLMS)
class DlmsSerializer(serializers.Serializer):
    """A meter's registers by OBIS code, of one interval."""

    protocol = serializers.CharField(required=False, help_text="dlms")
    device_id = serializers.CharField(help_text="The meter's serial.")
    payload = serializers.DictField(
        help_text=f"{OBIS_EXPORT}: exported Wh; {OBIS_IMPORT}: imported Wh; timestamp; "
        "energy_generated, energy_consumed and signature are kept."
    )


@like(examples.DLMS_BATCH)
class DlmsBatchSerializer(serializers.Serializer):
    """Up to 1,000, the payload's members flat beside device_id."""

    protocol = serializers.CharField(required=False)
    readings = serializers.ListField(child=serializers.DictField())


@like(examples.SUBMITTED)
class SubmittedSerializer(serializers.Serializer):
    """What ``submit-reading`` answers."""

    id = serializers.UUIDField()
    wallet_address = serializers.CharField(allow_null=True)
    kwh_amount = serializers.DecimalField(max_digits=20, decimal_places=KWH_PLACES)
    reading_timestamp = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField()
    minted = serializers.BooleanField()
    mint_tx_signature = serializers.CharField(allow_null=True)
    message = serializers.CharField()


@like(examples.OF_METER)
class OfMeterSerializer(serializers.Serializer):
    """What a meter's ``readings`` answer."""

    id = serializers.UUIDField()
    serial_number = serializers.CharField()
    kwh = serializers.FloatField()
    timestamp = serializers.DateTimeField()
    minted = serializers.BooleanField()
    tx_signature = serializers.CharField(allow_null=True)
    message = serializers.CharField()


@like(examples.COUNTED)
class CountedSerializer(serializers.Serializer):
    """What a batch of the gateway's clients answers."""

    success_count = serializers.IntegerField()
    failed_count = serializers.IntegerField()
    message = serializers.CharField(help_text="What failed, by position, and why.")


@like(examples.ACCEPTED)
class AcceptedSerializer(serializers.Serializer):
    """What the ingest doors answer, in a batch for each reading in the order sent."""

    status = serializers.CharField(help_text="accepted; in a batch also failed")
    reading_id = serializers.UUIDField(allow_null=True)
    message = serializers.CharField()


@like(examples.UNMINTED)
class UnmintedSerializer(serializers.Serializer):
    """A reading that is not minted yet."""

    id = serializers.UUIDField()
    user_id = serializers.CharField(allow_null=True)
    wallet_address = serializers.CharField(allow_null=True)
    kwh_amount = serializers.DecimalField(max_digits=20, decimal_places=KWH_PLACES)
    reading_timestamp = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField()
    minted = serializers.BooleanField()
    mint_tx_signature = serializers.CharField(allow_null=True)


@like(examples.MINE)
class MineSerializer(serializers.Serializer):
    """A reading as the trading UI lists it."""

    id = serializers.UUIDField()
    meter_serial = serializers.CharField()
    kwh = serializers.FloatField()
    timestamp = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField()
    minted = serializers.BooleanField()
    tx_signature = serializers.CharField(allow_null=True)


@like(examples.STATS)
class StatsSerializer(serializers.Serializer):
    """Sums over all readings."""

    total_produced = serializers.FloatField()
    total_consumed = serializers.FloatField()
    last_reading_time = serializers.DateTimeField(allow_null=True)
    total_minted = serializers.FloatField()
    total_minted_count = serializers.IntegerField()
    pending_mint = serializers.FloatField()
    pending_mint_count = serializers.IntegerField()


@like(examples.MINT_FROM)
class MintFromReadingSerializer(serializers.Serializer):
    """Which reading."""

    reading_id = serializers.UUIDField()


@like(examples.PAID)
class PaidSerializer(serializers.Serializer):
    """What was minted."""

    message = serializers.CharField()
    transaction_signature = serializers.CharField()
    kwh_amount = serializers.DecimalField(max_digits=20, decimal_places=KWH_PLACES)
    wallet_address = serializers.CharField()
