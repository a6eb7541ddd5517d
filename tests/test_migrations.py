"""Expand, then contract: code of the release before lives with the tables of this one.

What old workers do while new ones start (docs/resilience.md, "Two versions at once"): insert rows
without naming new columns, and read and write every column that they know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import (
    AddField,
    AlterField,
    AlterModelTable,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
)
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.special import SeparateDatabaseAndState
from django.db.models import NOT_PROVIDED, Field, ManyToManyField

OURS = ("access", "minting", "readings")
BEFORE_ALL = "before the first release: nobody runs anything older"
CONTRACTS = {
    ("access", "0002_tokens_calls_rates"): BEFORE_ALL,
    ("minting", "0003_plans"): BEFORE_ALL,
    ("minting", "0010_approvals"): BEFORE_ALL,
    ("minting", "0012_errands"): BEFORE_ALL,
}
"""Migrations that take away, by app and name: each with the release since which nobody uses it."""

TAKES_AWAY = (AlterModelTable, DeleteModel, RemoveField, RenameField, RenameModel)


def every_migration() -> Iterator[Migration]:
    loader = MigrationLoader(None)
    for (app, _), migration in sorted(loader.disk_migrations.items()):
        if app in OURS:
            yield migration


def refusals(migration: Migration) -> list[str]:
    """What of it the code before could not live with."""
    new = {
        operation.name_lower
        for operation in migration.operations
        if isinstance(operation, CreateModel)
    }
    return [
        f"{migration.app_label}.{migration.name}: {operation.describe()}: {why}"
        for operation in flat(migration.operations)
        if getattr(operation, "model_name_lower", "") not in new
        if (why := refused(operation))
    ]


def flat(operations: Sequence[Operation]) -> Iterator[Operation]:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from operation.database_operations
        else:
            yield operation


def refused(operation: Operation) -> str:
    if isinstance(operation, TAKES_AWAY):
        return "old code still names it"
    if isinstance(operation, AddField) and not is_insertable_without(operation.field):
        return "an old worker's INSERT does not name it: null=True, or db_default"
    return ""


def is_insertable_without(field: Field) -> bool:
    """Whether a row can be written by somebody who does not know the column."""
    return (
        field.null
        or field.db_default is not NOT_PROVIDED
        or isinstance(field, ManyToManyField)
        or getattr(field, "generated", False)
    )


def test_the_code_before_lives_with_the_tables() -> None:
    told = [
        line
        for migration in every_migration()
        if (migration.app_label, migration.name) not in CONTRACTS
        for line in refusals(migration)
    ]

    assert told == []


def test_what_is_refused() -> None:
    from django.db import models

    operations: list[Operation] = [
        RemoveField("reading", "code"),
        RenameField("reading", "a", "b"),
        AddField("reading", "must", models.TextField()),
        AddField("reading", "python_default", models.TextField(default="")),
        AddField("reading", "may", models.TextField(null=True)),
        AddField("reading", "server_default", models.TextField(db_default="")),
        AlterField("reading", "code", models.TextField(default="")),
    ]

    told = refusals(type("Bad", (Migration,), {"operations": operations})("0002_bad", "readings"))

    assert [line.partition(": ")[2].partition(":")[0] for line in told] == [
        "Remove field code from reading",
        "Rename field a on reading to b",
        "Add field must to reading",
        "Add field python_default to reading",
    ]
