"""Django's name for the room."""

from django.apps import AppConfig


class MintingConfig(AppConfig):
    """From readings to tokens: batches, the journal, the cluster."""

    name = "minting"
    verbose_name = "Minting"
