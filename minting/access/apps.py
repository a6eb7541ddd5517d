"""Django's name for the room."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import pre_save


class AccessConfig(AppConfig):
    """API tokens, their scopes, and who may do what with them."""

    name = "minting.access"
    label = "access"
    verbose_name = "API access"

    def ready(self) -> None:
        """Called once by Django."""
        # The change log offers no other place to say by what a row is called.
        pre_save.connect(self._hide_digest, sender=apps.get_model("auditlog", "LogEntry"))

    def _hide_digest(self, instance: Any, **_: object) -> None:
        """A token's primary key is its digest: the log knows the token by its beginning."""
        if instance.content_type.model_class() is self.get_model("ApiToken"):
            instance.object_pk = instance.object_repr
