"""What an API token may do (contract.md, "Authentication")."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """One right of a token; a token has any set of them."""

    READ = "read"
    SUBMIT = "submit"
    MINT = "mint"
    REGISTRY = "registry"


SCOPE_PERMISSIONS: dict[Scope, str] = {
    Scope.READ: "readings.view_meterreading",
    Scope.SUBMIT: "readings.add_meterreading",
    Scope.MINT: "minting.mint_readings",
    Scope.REGISTRY: "readings.change_owner",
}
"""The Django permission that a browser session needs where a token needs the scope."""
