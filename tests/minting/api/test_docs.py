"""docs/api.md tells every endpoint, filter and code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minting.access.scopes import Scope
from minting.api import errors as api
from minting.api.doors import errors as doors_errors
from minting.api.doors import urls as doors
from minting.api.filters import ReadingFilter
from minting.api.registry import MeterFilter, OwnerFilter
from minting.api.urls import urlpatterns
from minting.api.wallet_changes import WalletChangeFilter
from minting.engine import errors as engine
from readings import errors as readings
from readings.rules import ReadingCode

DOCS = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


def codes(root: type[Exception]) -> set[str]:
    """Of a whole tree of errors."""
    own = getattr(root, "default_code", "") or getattr(root, "code", "")
    return {own} - {""} | {code for kind in root.__subclasses__() for code in codes(kind)}


NEVER_TOLD = {
    "blockchain_error", "reading_error", "error",  # roots
    "partially_successful",  # of a batch, not of a request
    "pack_refused", "mint_not_final",  # of `reconcile`
    "receipt_refused", "approval_void", "approval_conflict",  # of the admin
    "reading_changed",  # of the admin, too
    "file_refused", "answer_needed",  # of imports
    "verification_failed", "journal_unwritable",  # of the worker that signs
}  # fmt: skip


@pytest.mark.parametrize(
    "code",
    sorted(
        codes(engine.BlockchainError)
        | codes(readings.ReadingError)
        | codes(api.ApiError)
        | {code.value for code in ReadingCode if code is not ReadingCode.NOT_HELD}
    ),
)
def test_every_code_is_told(code: str) -> None:
    assert code in NEVER_TOLD or f"`{code}`" in DOCS


def test_every_endpoint_is_told() -> None:
    for pattern in urlpatterns[:-1]:
        route = re.sub(r"<uuid:\w+>", "{id}", str(pattern.pattern))
        assert route in DOCS


def test_every_door_is_told() -> None:
    assert issubclass(doors_errors.MintFailed, api.ApiError)  # its code is among those above
    for pattern in doors.urlpatterns:
        route = re.sub(r"<\w+:(\w+)>", lambda name: f"{{{name[1]}}}", str(pattern.pattern))
        assert f"/{route.replace('{reading_id}', '{id}')}`" in DOCS


def test_every_filter_and_scope_is_told() -> None:
    kinds = (OwnerFilter, MeterFilter, WalletChangeFilter)
    registry = [name for kind in kinds for name in kind.base_filters]
    for name in [*ReadingFilter.base_filters, *registry, *Scope]:
        assert f"`{name}`" in DOCS
