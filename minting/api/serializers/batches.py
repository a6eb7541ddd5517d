"""Batches, their results, and estimates (built by ``minting.service.describe``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from minting.api.serializers import examples
from minting.api.serializers.fields import BlankIsNull, Lamports
from minting.engine.errors import BatchTooLarge
from minting.engine.states import BatchStatus, ResultStatus
from minting.models import BatchSource
from readings.rules import KWH_PLACES


class ReadingIds(serializers.ListField):
    """Ids of readings; how many are too many is said before any of them is looked at."""

    child = serializers.UUIDField()

    def to_internal_value(self, data: Any) -> list[UUID]:
        """The ids.

        Raises:
            BatchTooLarge: More than one call may name.
        """
        most = settings.BLOCKCHAIN_MAX_BATCH_SIZE
        if isinstance(data, list) and len(data) > most:
            raise BatchTooLarge(len(data), most)
        ids: list[UUID] = super().to_internal_value(data)
        return ids


@extend_schema_serializer(examples=[OpenApiExample("one", value=examples.MINT_REQUEST)])
class MintRequestSerializer(serializers.Serializer):
    """Which readings."""

    reading_ids = ReadingIds()


def named_ids(data: Any) -> Sequence[UUID]:
    """The readings that a body names.

    Raises:
        ValidationError: It does not say so.
        BatchTooLarge: More than one call may name.
    """
    serializer = MintRequestSerializer(data=data)
    serializer.is_valid(raise_exception=True)
    ids: list[UUID] = serializer.validated_data["reading_ids"]
    return ids


@extend_schema_serializer(examples=[OpenApiExample("one", value=examples.RESULT)])
class ResultSerializer(serializers.Serializer):
    """What became of one reading in one batch."""

    reading_id = serializers.UUIDField()
    success = serializers.BooleanField(allow_null=True, help_text="Null while pending or in doubt.")
    status = serializers.ChoiceField([status.value for status in ResultStatus])
    error = BlankIsNull()
    error_code = BlankIsNull()
    tx_signature = BlankIsNull()
    slot = serializers.IntegerField(allow_null=True)


@extend_schema_serializer(examples=[OpenApiExample("one", value=examples.MINT_RESULT)])
class MintResultSerializer(ResultSerializer):
    """A result with all that an audit asks for; what is written is that of the moment it began."""

    id = serializers.UUIDField()
    batch_id = serializers.UUIDField()
    owner = serializers.CharField(source="user_id", help_text="The owner's user_id.")
    wallet_address = BlankIsNull()
    kwh_amount = serializers.DecimalField(max_digits=20, decimal_places=KWH_PLACES)
    base_units = serializers.DecimalField(
        max_digits=20, decimal_places=0, help_text="Of the token; text, for it may pass 2⁵³."
    )
    settled_at = serializers.DateTimeField(allow_null=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample("done", value=examples.BATCH),
        OpenApiExample("queued", value=examples.QUEUED_BATCH, status_codes=["202"]),
    ]
)
class BatchSerializer(serializers.Serializer):
    """What was asked in one go, and the outcome."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField([status.value for status in BatchStatus])
    source = serializers.ChoiceField(  # type: ignore[assignment]
        [source.value for source in BatchSource]
    )
    created_at = serializers.DateTimeField()
    retry_of = serializers.UUIDField(allow_null=True)
    total_readings = serializers.IntegerField()
    successful_mints = serializers.IntegerField()
    failed_mints = serializers.IntegerField()
    pending_mints = serializers.IntegerField()
    error_code = BlankIsNull()
    fee_estimate_lamports = Lamports(allow_null=True)
    rent_estimate_lamports = Lamports(allow_null=True)
    fee_paid_lamports = Lamports()
    rent_paid_lamports = Lamports()
    transactions = serializers.IntegerField()
    results_url = serializers.URLField()
    results = ResultSerializer(
        many=True, allow_null=True, help_text="Null in lists and above 1,000 readings."
    )


@extend_schema_serializer(examples=[OpenApiExample("one", value=examples.SINGLE_MINT)])
class SingleMintSerializer(serializers.Serializer):
    """The outcome of a single mint that was waited for."""

    reading_id = serializers.UUIDField()
    success = serializers.BooleanField()
    error = BlankIsNull()
    error_code = BlankIsNull()
    tx_signature = BlankIsNull()
    batch_id = serializers.UUIDField()


class ExcludedSerializer(serializers.Serializer):
    """A reading that would not be minted, and why."""

    reading_id = serializers.UUIDField()
    code = serializers.CharField()
    reason = serializers.CharField()


@extend_schema_serializer(examples=[OpenApiExample("one", value=examples.ESTIMATE)])
class EstimateSerializer(serializers.Serializer):
    """What minting would send and cost."""

    readings = serializers.IntegerField()
    wallets = serializers.IntegerField()
    new_accounts = serializers.IntegerField()
    transactions = serializers.IntegerField()
    network_fee_lamports = Lamports()
    priority_fee_lamports = Lamports()
    rent_lamports = Lamports()
    total_lamports = Lamports()
    authority_balance_lamports = Lamports()
    balance_after_lamports = Lamports(help_text="Below zero if the authority has not enough.")
    excluded = ExcludedSerializer(many=True)
