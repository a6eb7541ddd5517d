"""What a list of batches can be narrowed by."""

from __future__ import annotations

import django_filters  # type: ignore[import-untyped]

from minting.engine.states import BatchStatus
from minting.models import BatchSource
from minting.models.fields import choices


class BatchFilter(django_filters.FilterSet):
    """By what is said when a batch is made, and by how far it is."""

    status = django_filters.ChoiceFilter(choices=choices(BatchStatus))
    source = django_filters.ChoiceFilter(choices=choices(BatchSource))
    created_by = django_filters.CharFilter(
        field_name="created_by__username", help_text="The user whose token or session asked."
    )
    created_after = django_filters.IsoDateTimeFilter(
        field_name="created_at",
        lookup_expr="gte",
        help_text="Batches made then or later (ISO 8601; without an offset: UTC).",
    )
    created_before = django_filters.IsoDateTimeFilter(
        field_name="created_at", lookup_expr="lte", help_text="Batches made then or earlier."
    )
    retry_of = django_filters.UUIDFilter(help_text="Retries of this batch.")
