"""Columns that several tables share, so that units and sizes are said once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import models


def first_id_since(moment: datetime) -> UUID:
    """The least UUIDv7 of a moment: ids are in the order of time, and have an index."""
    return UUID(int=int(moment.timestamp()) * 1000 << 80)


def choices(states: type[StrEnum]) -> list[tuple[str, str]]:
    """Django choices of an enumeration: value, and its words."""
    return [(state.value, state.value.replace("_", " ")) for state in states]


def values(states: Iterable[StrEnum]) -> list[str]:
    """Plain values in a fixed order, for constraints that migrations write down."""
    return sorted(state.value for state in states)


def status_field(states: type[StrEnum], default: StrEnum | None = None) -> models.CharField:
    """A state's column."""
    extra: dict[str, Any] = {} if default is None else {"default": default.value}
    return models.CharField(max_length=24, choices=choices(states), **extra)


def address_field(**extra: Any) -> models.CharField:
    """A Solana address: base58 of 32 bytes, 32 to 44 characters."""
    return models.CharField(max_length=44, **extra)


def signature_field(**extra: Any) -> models.CharField:
    """A transaction signature: base58 of 64 bytes, up to 88 characters."""
    return models.CharField(max_length=88, **extra)


def base_units_field(**extra: Any) -> models.DecimalField:
    """A u64 of the token; numeric(20, 0), since bigint ends at 2⁶³ - 1."""
    return models.DecimalField(max_digits=20, decimal_places=0, **extra)


def lamports_field(**extra: Any) -> models.BigIntegerField:
    """Lamports; all there are fit bigint."""
    return models.BigIntegerField(**extra)
