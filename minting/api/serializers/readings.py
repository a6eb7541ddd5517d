"""Readings as they come in and as they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from minting.api.serializers import examples
from minting.api.serializers.fields import BlankIsNull
from readings.errors import InvalidReading
from readings.intake import Outcome, OutcomeStatus, Submission
from readings.rules import KWH_PLACES, ReadingStatus


@extend_schema_serializer(examples=[OpenApiExample("one", value=examples.READING)])
class ReadingSerializer(serializers.Serializer):
    """A reading, as ``shown_readings`` reads it."""

    id = serializers.UUIDField()
    meter_serial = serializers.CharField(source="meter.serial")
    owner = serializers.CharField(
        source="owner.user_id", allow_null=True, help_text="The owner's user_id."
    )
    wallet_address = BlankIsNull(help_text="The last result's, else the owner's.")
    kwh_amount = serializers.DecimalField(max_digits=20, decimal_places=KWH_PLACES)
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    status = serializers.ChoiceField([status.value for status in ReadingStatus])
    code = BlankIsNull(help_text="Why it is held, not minted or failed.")
    tx_signature = BlankIsNull(help_text="Of the last result.")
    submitted_at = serializers.DateTimeField()


@extend_schema_serializer(examples=[OpenApiExample("one", value=examples.CORRECTED_READING)])
class CorrectedReadingSerializer(ReadingSerializer):
    """The current revision of a reading."""

    revision = serializers.IntegerField()
    correction_difference = serializers.DecimalField(
        max_digits=20,
        decimal_places=KWH_PLACES,
        allow_null=True,
        help_text="kWh now less kWh minted; null if none was minted.",
    )


@extend_schema_serializer(examples=[OpenApiExample("one", value=examples.SUBMISSION)])
class SubmissionSerializer(serializers.Serializer):
    """What a client sends; only described here, since ``readings.intake`` judges every value."""

    meter_serial = serializers.CharField()
    kwh_amount = serializers.DecimalField(
        max_digits=20,
        decimal_places=KWH_PLACES,
        help_text="A number is rounded half-even to 9 places; a string with more is refused.",
    )
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    external_id = serializers.CharField(required=False, allow_null=True)
    energy_generated = serializers.DecimalField(
        max_digits=20, decimal_places=KWH_PLACES, required=False, allow_null=True
    )
    energy_consumed = serializers.DecimalField(
        max_digits=20, decimal_places=KWH_PLACES, required=False, allow_null=True
    )
    meter_signature = serializers.CharField(required=False, allow_null=True)


REQUIRED = ("meter_serial", "kwh_amount", "period_start", "period_end")


def submission_of(body: Any) -> Submission:
    """What intake is asked to take; names that it does not know are ignored.

    Raises:
        InvalidReading: Not an object, or a value is missing.
    """
    body = require_values(body, REQUIRED)
    return Submission(
        meter_serial=body["meter_serial"],
        kwh_amount=body["kwh_amount"],
        period_start=body["period_start"],
        period_end=body["period_end"],
        energy_generated=body.get("energy_generated"),
        energy_consumed=body.get("energy_consumed"),
        meter_signature=_or_empty(body.get("meter_signature")),
        external_id=_or_empty(body.get("external_id")),
    )


@extend_schema_serializer(examples=[OpenApiExample("one", value=examples.CORRECTION)])
class CorrectionSerializer(serializers.Serializer):
    """A reading told anew; the energies are judged by ``readings.intake``."""

    kwh_amount = serializers.DecimalField(max_digits=20, decimal_places=KWH_PLACES)
    energy_generated = serializers.DecimalField(
        max_digits=20, decimal_places=KWH_PLACES, required=False, allow_null=True
    )
    energy_consumed = serializers.DecimalField(
        max_digits=20, decimal_places=KWH_PLACES, required=False, allow_null=True
    )
    reason = serializers.CharField(required=False, allow_null=True)


class ReasonSerializer(serializers.Serializer):
    """Why a reading is corrected: the one value of a correction that is plain text."""

    reason = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, default="", max_length=2_000
    )


def reason_of_correction(body: Any) -> str:
    """The reason given, or nothing.

    Raises:
        ValidationError: It is no text, or longer than anybody reads.
    """
    serializer = ReasonSerializer(data=body)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data["reason"] or ""


class OutcomeSerializer(serializers.Serializer):
    """What became of one item of a list."""

    status = serializers.ChoiceField([status.value for status in OutcomeStatus])
    id = serializers.UUIDField(
        source="reading_id", allow_null=True, help_text="Of a conflict: the reading that we have."
    )
    code = BlankIsNull()
    detail = BlankIsNull()


@extend_schema_serializer(examples=[OpenApiExample("one", value=examples.OUTCOMES)])
class OutcomesSerializer(serializers.Serializer):
    """What became of a list, in the order sent."""

    created = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    failed = serializers.IntegerField(help_text="Conflicts and invalid items.")
    results = OutcomeSerializer(many=True)


def describe_outcomes(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The answer to a list of readings."""
    counts = Counter(outcome.status for outcome in outcomes)
    return {
        "created": counts[OutcomeStatus.CREATED],
        "duplicates": counts[OutcomeStatus.DUPLICATE],
        "failed": counts[OutcomeStatus.CONFLICT] + counts[OutcomeStatus.INVALID],
        "results": [
            {
                "status": outcome.status.value,
                "id": outcome.reading_id,
                "code": outcome.code or None,
                "detail": outcome.detail or None,
            }
            for outcome in outcomes
        ],
    }


def require_values(body: Any, names: Sequence[str]) -> dict[str, Any]:
    """The body, if it is an object that has all of ``names``.

    Raises:
        InvalidReading: Not an object, or one of ``names`` is not there.
    """
    if not isinstance(body, dict):
        raise InvalidReading("A reading is a JSON object")
    missing = [name for name in names if body.get(name) is None]
    if missing:
        raise InvalidReading(f"{', '.join(missing)} must be given")
    return body


def _or_empty(value: Any) -> Any:
    return "" if value is None else value
