"""The wrapper that Django looks for here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.color import Style
from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations

from gridtoken.database import base

KEPT = {"auth_permission", "django_content_type"}
"""What the models alone decide: Django writes it anew after each flush, at a tenth of a second."""


class DatabaseOperations(PostgresOperations):
    """Deletes the few rows a test left; TRUNCATE makes new files of every table and index."""

    def sql_flush(
        self,
        style: Style,
        tables: Sequence[str],
        *,
        reset_sequences: bool = False,
        allow_cascade: bool = False,
    ) -> list[str]:
        """Statements that empty ``tables``: neither foreign keys nor triggers have a say."""
        if reset_sequences:
            return super().sql_flush(
                style, tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade
            )
        names = [self.quote_name(table) for table in tables if table not in KEPT]
        asked = (f"(SELECT '{name}' FROM {name} LIMIT 1)" for name in names)  # noqa: S608
        with self.connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(asked))
            filled = [name for (name,) in cursor.fetchall()]
        return [
            "SET LOCAL session_replication_role = replica",
            *(f"DELETE FROM {name}" for name in filled),  # noqa: S608
        ]


class DatabaseWrapper(base.DatabaseWrapper):
    """Of a server that only tests use."""

    ops_class = DatabaseOperations
    ops: Any
