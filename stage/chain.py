"""JSON-RPC to one node, written without the product's client: the auditor trusts nobody."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

TIMEOUT = 15.0
"""Seconds for one request to a node on this machine."""
FINALIZED = {"commitment": "finalized"}


class ChainError(Exception):
    """The node refused, or did not answer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction of an address's history."""

    signature: str
    slot: int
    err: object
    memo: str | None


class Chain:
    """Reads a node at ``finalized``, and gives orders to one that takes them."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, method: str, *params: Any) -> Any:
        """The result of one call.

        Raises:
            ChainError: No answer, or a refusal.
        """
        answer = self._post(
            self._url, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        )
        if "error" in answer:
            raise ChainError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def control(self, **orders: Any) -> dict[str, Any]:
        """Gives orders to a local chain that was started with ``--control``.

        Raises:
            ChainError: It does not take them.
        """
        return self._post(f"{self._url}/control", orders)

    def supply(self, mint: str) -> int:
        """Base units there are."""
        return self._amounts([mint], at=36)[0]

    def balances(self, token_accounts: Sequence[str]) -> list[int]:
        """Base units in each token account; 0 where there is none."""
        found: list[int] = []
        for start in range(0, len(token_accounts), 100):
            found += self._amounts(token_accounts[start : start + 100], at=64)
        return found

    def lamports(self, address: str) -> int:
        """An address's balance."""
        return int(self.call("getBalance", address, FINALIZED)["value"])

    def history(self, address: str) -> Iterator[Entry]:
        """Everything that ever named an address, newest first."""
        before: str | None = None
        while True:
            config: dict[str, Any] = {**FINALIZED, **({"before": before} if before else {})}
            rows = self.call("getSignaturesForAddress", address, config)
            for row in rows:
                yield Entry(row["signature"], row["slot"], row["err"], row["memo"])
            if not rows:
                return
            before = rows[-1]["signature"]

    def _amounts(self, addresses: Sequence[str], *, at: int) -> list[int]:
        """The u64 at an offset of each account's data (SPL Token's layouts)."""
        config = {**FINALIZED, "encoding": "base64"}
        views = self.call("getMultipleAccounts", list(addresses), config)["value"]
        return [
            0 if view is None else int.from_bytes(b64decode(view["data"][0])[at : at + 8], "little")
            for view in views
        ]

    def _post(self, url: str, document: Any) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - loopback, ours
            url, json.dumps(document).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                return dict(json.loads(answer.read()))
        except (OSError, ValueError) as error:
            raise ChainError(f"{url}: {error}") from error
