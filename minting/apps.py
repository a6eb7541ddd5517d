"""Django's name for the room."""

from importlib import import_module

from django.apps import AppConfig
from django.core.checks import Tags, register

from gridtoken.env import WrongVariableError


class MintingConfig(AppConfig):
    """From readings to tokens: batches, the journal, the cluster."""

    name = "minting"
    verbose_name = "Minting"

    def ready(self) -> None:
        """Registers the checks; they need models, which are there only now.

        A program that mints and cannot be understood ends the start, as a wrong variable does.
        """
        errors, conf = import_module("minting.engine.errors"), import_module("minting.conf")
        try:
            conf.program()
        except errors.MintingRefused as refused:
            raise WrongVariableError(str(refused)) from None
        checks = import_module("minting.checks")
        register("settings")(checks.check_settings)
        register(Tags.security, deploy=True)(checks.check_chain)
