"""What lists of results can be narrowed by: of one batch, or of all that ever were."""

from __future__ import annotations

import django_filters  # type: ignore[import-untyped]
from django.db.models import QuerySet

from minting.engine.states import ResultStatus
from minting.models import MintResult, MintTransaction
from minting.models.fields import choices


class BatchResultFilter(django_filters.FilterSet):
    """Results of one batch, by how they ended."""

    status = django_filters.ChoiceFilter(choices=choices(ResultStatus))
    success = django_filters.BooleanFilter(help_text="Of those that ended.")
    error_code = django_filters.CharFilter()


class ResultFilter(django_filters.FilterSet):
    """Results of any batch, each by an index."""

    reading = django_filters.UUIDFilter(help_text="All that ever became of this reading.")
    signature = django_filters.CharFilter(
        method="filter_signature",
        help_text="What this transaction's bytes pay, released from it since or not.",
    )
    wallet = django_filters.CharFilter(
        field_name="wallet_address", help_text="Where it was or would have been paid."
    )
    batch = django_filters.UUIDFilter()
    status = django_filters.ChoiceFilter(choices=choices(ResultStatus))

    def filter_signature(
        self, queryset: QuerySet[MintResult], _name: str, value: str
    ) -> QuerySet[MintResult]:
        """By the readings that the journal kept with the bytes.

        A result that left a dead transaction no longer names it; the transaction still does.
        """
        paid = MintTransaction.objects.filter(signature=value)
        row = paid.values_list("batch_id", "reading_ids").first()
        if row is None:
            return queryset.none()
        batch_id, reading_ids = row
        return queryset.filter(batch=batch_id, reading__in=reading_ids)
