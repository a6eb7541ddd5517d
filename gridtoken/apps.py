"""Django's name for the project itself."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from gridtoken import checks as own
from gridtoken import sentry


class GridTokenConfig(AppConfig):
    """Registers the project's system checks, and listens to the queue."""

    name = "gridtoken"

    def ready(self) -> None:
        """Called once by Django."""
        import_module("gridtoken.login.events")  # needs models, which are there only now
        checks.register(own.check_queue, "queue")
        checks.register(own.check_signer, checks.Tags.security)
        checks.register(own.check_second_factor, checks.Tags.security, deploy=True)
        checks.register(own.check_database, checks.Tags.database)
        # The queue's signals are beside its models, which are there only now.
        import_module("gridtoken.followed_tasks").follow_tasks()
        if settings.SENTRY_DSN:
            sentry.report_tasks()
