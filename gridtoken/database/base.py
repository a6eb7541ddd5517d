"""The wrapper that Django looks for here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db.backends.postgresql import base
from django.db.utils import OperationalError

from gridtoken.embedded import postgres


class DatabaseWrapper(base.DatabaseWrapper):
    """Starts the embedded server before it connects, never earlier.

    So a command that asks the database nothing (``--help``) starts nothing. ``EMBEDDED`` in
    ``DATABASES`` names the folder and whether its content matters.
    """

    def get_connection_params(self) -> dict[str, Any]:
        """What psycopg connects with; by then the server answers."""
        embedded = self.settings_dict["EMBEDDED"]
        try:
            postgres.use(Path(embedded["folder"]), throwaway=embedded["throwaway"])
        except postgres.PostgresError as error:
            raise OperationalError(str(error)) from error
        return super().get_connection_params()
