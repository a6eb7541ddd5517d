"""How each kind of errand is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from minting.engine.errands import ErrandKind
from minting.models import BatchSource, Errand
from minting.service.requests import selections
from minting.service.requests.errands import Beat, Work
from minting.service.requests.prepare import request_batch
from minting.service.requests.previewing import preview_errand
from readings import queries
from readings.intake import release

RELEASED_AT_ONCE = 1_000
"""Readings that are released and told of in one transaction."""


def mint_errand(errand: Errand, beat: Beat) -> dict[str, Any]:
    """Makes the batch; a selection makes one at most, whoever asks how often."""
    ids = selections.picked(errand.selection)
    beat.begin(queries.count_wallets(ids))
    batch = request_batch(
        ids,
        source=BatchSource.ADMIN,
        created_by=errand.selection.created_by,
        strict=False,
        selection=errand.selection,
        passing=beat,
    )
    return {"batch": str(batch.pk)}


def release_errand(errand: Errand, beat: Beat) -> dict[str, Any]:
    """Releases in the order of ids; taken up again, it goes on behind the last that is told of."""
    by, told = errand.selection.created_by, errand.answer or {"left": {}, "last": None, "done": 0}
    if by is None:
        raise RuntimeError("only a person releases readings")
    left, done = Counter(told["left"]), told["done"]
    last = told["last"] and UUID(told["last"])
    if not done:
        beat.begin(errand.selection.size)
    while ids := selections.ids_of(errand.selection, after=last, limit=RELEASED_AT_ONCE):
        with transaction.atomic():
            outcomes = release(ids, by=by, reason=errand.wish["reason"])
            left.update(each.code for each in outcomes if not each.released)
            last, done = ids[-1], done + len(ids)
            told = {"left": dict(left), "last": str(last), "done": done}
            beat.keep(done, told)
    return told


WORKS: Mapping[str, Work] = {
    ErrandKind.PREVIEW: preview_errand,
    ErrandKind.MINT: mint_errand,
    ErrandKind.RELEASE: release_errand,
}
