"""Fields that several bodies share, and how they are shown in the API's description."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

LAMPORTS = 2**63 - 1


class BlankIsNull(serializers.CharField):
    """Text that the database keeps as empty and the API tells as null."""

    def __init__(self, **extra: Any) -> None:
        super().__init__(allow_null=True, **extra)

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        """Null for nothing."""
        return str(value) if value else None


class Lamports(serializers.IntegerField):
    """10⁻⁹ SOL."""

    def __init__(self, **extra: Any) -> None:
        super().__init__(max_value=LAMPORTS, **extra)


def like(value: Any) -> Callable[[Any], Any]:
    """Decorates a serializer with what its body looks like."""
    return extend_schema_serializer(examples=[OpenApiExample("one", value=value)])
