"""Django's name for the room."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """API tokens, their scopes, and who may do what with them."""

    name = "minting.access"
    label = "access"
    verbose_name = "API access"
