"""django-axes, by the names that its tables have in our sidebar."""

from __future__ import annotations

from axes.apps import AppConfig

NAMES = {
    "AccessAttempt": ("failed login", "failed logins"),
    "AccessLog": ("login", "logins"),
}
"""Of one row and of several; not in migrations, which keep what the library says."""


class LockOutConfig(AppConfig):
    """In place of the library's own."""

    verbose_name = "Access"

    def ready(self) -> None:
        """Called once by Django."""
        super().ready()
        for name, words in NAMES.items():
            options = self.get_model(name)._meta
            options.verbose_name, options.verbose_name_plural = words
