"""Django's name for the room."""

from importlib import import_module

from django.apps import AppConfig
from django.core.checks import Tags, register


class MintingConfig(AppConfig):
    """From readings to tokens: batches, the journal, the cluster."""

    name = "minting"
    verbose_name = "Minting"

    def ready(self) -> None:
        """Registers the checks; they need models, which are there only now."""
        register(Tags.security, deploy=True)(import_module("minting.checks").check_chain)
