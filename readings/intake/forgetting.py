"""An owner's personal data goes, and stays away; the books, which name nobody, stay.

What is left of a person is ``user_id``, the platform's name for them, and addresses that stand on
a public chain. docs/privacy.md says what is where.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape
from zipfile import ZipFile, is_zipfile

import structlog
from auditlog.models import LogEntry
from django.contrib.admin.models import LogEntry as AdminEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction

from readings.models import (
    ImportFile,
    ImportPart,
    Meter,
    MeterAssignment,
    Owner,
    Wallet,
    WalletChange,
)
from readings.models.import_file import OPEN, ImportKind, PartKind

log = structlog.get_logger(__name__)

ENCODINGS = ("utf-8", "cp1252", "utf-16-le", "utf-16-be")
"""Of files, as ``readings.formats.text`` tells them."""

FORGOTTEN = "Forgotten owner"
"""Stands for a name; told apart by ``user_id``."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was taken away."""

    meters: int
    """Whose name and place described a household."""
    entries: int
    """Lines of the change log that quoted the person."""
    files: int
    """Registry files whose content did; their rows, sizes and digests stay."""


def is_forgotten(owner: Owner) -> bool:
    """Whether there is nothing personal left of the row."""
    return owner.name == FORGOTTEN and not owner.email


@transaction.atomic
def forget_owner(owner: Owner, *, by: str) -> Forgotten:
    """Replaces an owner's name, deletes the e-mail address and places of meters; irreversible.

    Readings, wallets, batches, results and packs stay as they are: they name nobody.

    Args:
        owner: Whom; forgotten again changes nothing more.
        by: Who does it, for the log.
    """
    row = Owner.objects.select_for_update().get(pk=owner.pk)
    words = _words(row)
    named = str(row)
    meters = Meter.objects.filter(assignments__owner=row, assignments__ends_at=None)
    homes = list(meters.exclude(name="", location=""))
    Owner.objects.filter(pk=row.pk).update(name=FORGOTTEN, email="")
    for meter in homes:
        words |= {text for text in (meter.name, meter.location) if text}
    Meter.objects.filter(pk__in=[each.pk for each in homes]).update(name="", location="")
    row.refresh_from_db()
    entries = _forget_in_logs(row, words, (named, str(row)))
    for asked in WalletChange.objects.filter(owner=row):
        _rewrite(asked, words, ("", ""), ("reason", "exception_reason"))
    for wallet in row.wallets.all():
        _rewrite(wallet, words, ("", ""), ("exception_reason",))
    files = _forget_files(words)
    owner.refresh_from_db()
    log.info("owner_forgotten", user_id=row.user_id, by=by, meters=len(homes), files=files)
    LogEntry.objects.log_create(
        row, force_log=True, action=LogEntry.Action.UPDATE, additional_data={"forgotten_by": by},
        changes={"name": ["***", FORGOTTEN], "email": ["***", ""]},
    )  # fmt: skip
    return Forgotten(len(homes), entries, files)


def _words(owner: Owner) -> set[str]:
    """What is personal in the row, and was: the change log knows earlier names."""
    words = {owner.name, owner.email}
    for entry in LogEntry.objects.get_for_object(owner):
        changed = entry.changes_dict
        for field in ("name", "email"):
            words |= {
                str(each) for each in changed.get(field, []) if each not in (None, "", "None")
            }
    return words - {"", "***", FORGOTTEN}


def _forget_in_logs(owner: Owner, words: set[str], repr_: tuple[str, str]) -> int:
    """Takes the words out of the change logs of whatever is the owner's."""
    touched = 0
    for kind, ids in _theirs(owner):
        content_type = ContentType.objects.get_for_model(kind)
        for entry in LogEntry.objects.filter(content_type=content_type, object_pk__in=ids):
            touched += _rewrite(entry, words, repr_, ("object_repr", "changes_text", "changes"))
        for line in AdminEntry.objects.filter(content_type=content_type, object_id__in=ids):
            touched += _rewrite(line, words, repr_, ("object_repr", "change_message"))
    return touched


def _theirs(owner: Owner) -> Iterable[tuple[type[models.Model], list[str]]]:
    yield Owner, [str(owner.pk)]
    changes = WalletChange.objects.filter(owner=owner)
    yield WalletChange, [str(pk) for pk in changes.values_list("pk", flat=True)]
    yield Wallet, [str(pk) for pk in owner.wallets.values_list("pk", flat=True)]
    yield WalletChange, [str(pk) for pk in owner.wallet_changes.values_list("pk", flat=True)]
    yield MeterAssignment, [str(pk) for pk in owner.assignments.values_list("pk", flat=True)]
    yield Meter, [str(pk) for pk in owner.assignments.values_list("meter", flat=True)]


def _rewrite(
    entry: models.Model, words: set[str], repr_: tuple[str, str], fields: tuple[str, ...]
) -> bool:
    before = {name: getattr(entry, name) for name in fields}
    after = {name: _without(value, words, repr_) for name, value in before.items()}
    if after == before:
        return False
    type(entry)._default_manager.filter(pk=entry.pk).update(**after)
    return True


def _without(value: Any, words: set[str], repr_: tuple[str, str]) -> Any:
    """The same text, or JSON, with ``***`` where a word stood."""
    if isinstance(value, dict):
        return {key: _without(each, words, repr_) for key, each in value.items()}
    if isinstance(value, list):
        return [_without(each, words, repr_) for each in value]
    if not isinstance(value, str):
        return value
    text = value.replace(*repr_) if repr_[0] else value
    # The longest first: one may be part of another.
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, "***").replace(json.dumps(word)[1:-1], "***")
    return text


def _forget_files(words: set[str]) -> int:
    """Deletes the content of registry files that quote the person and are done with."""
    done = ImportFile.objects.filter(kind=ImportKind.REGISTRY.value).exclude(
        status__in=[status.value for status in OPEN]
    )
    needles = {spelling for word in words for spelling in _spellings(word)}
    quoting = 0
    for file in done:
        report = _without(file.report, words, ("", ""))
        if report == file.report and not any(
            needle in text for text in _texts(file) for needle in needles
        ):
            continue
        ImportFile.objects.filter(pk=file.pk).update(report=report)
        ImportPart.objects.filter(file=file).delete()
        quoting += 1
    return quoting


def _spellings(word: str) -> Iterator[bytes]:
    """A word as files have it: in each encoding that is read, quoted for CSV, escaped for XML."""
    for text in {word, word.replace('"', '""'), escape(word)}:
        for encoding in ENCODINGS:
            with suppress(UnicodeEncodeError):
                yield text.encode(encoding)


def _texts(file: ImportFile) -> Iterator[bytes]:
    """What is kept of a file, a spreadsheet unpacked."""
    for kind in PartKind:
        parts = file.parts.filter(kind=kind.value).order_by("number")
        whole = b"".join(bytes(each) for each in parts.values_list("data", flat=True))
        if is_zipfile(BytesIO(whole)):
            with ZipFile(BytesIO(whole)) as packed:
                yield from map(packed.read, packed.namelist())
        else:
            yield whole
