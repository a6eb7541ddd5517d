from __future__ import annotations

from django.apps import AppConfig


class ReadingsConfig(AppConfig):
    """Owners, wallets, meters and what they measured."""

    name = "readings"
    verbose_name = "Readings"
