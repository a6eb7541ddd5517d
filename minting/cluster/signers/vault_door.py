"""The way to Vault: hvac's client, bounded in time, with a token that is kept alive.

Blocking; ``vault`` calls it from a thread. Not for two threads at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import hvac
import requests
import structlog
from hvac.adapters import JSONAdapter

from minting.cluster.signers import vault_answers
from minting.cluster.signers.settings import VaultSettings
from minting.cluster.signers.vault_login import Lease, log_in, may_log_in_again, renew
from minting.engine.errors import BlockchainError, SignerRefused, SignerUnavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

FIRST_PAUSE = 0.1
"""Seconds before a question is repeated; doubled each time."""


class BoundedAdapter(JSONAdapter):
    """hvac's requests, none beyond ``deadline``, with errors that say what to do about them."""

    deadline = 0.0
    """Monotonic seconds."""
    seconds = 0.0
    """What was allowed in all; for the sentence."""

    def request(self, method: str, url: str, **kwargs: Any) -> Any:
        """One request.

        Raises:
            SignerUnavailable: No answer, none of Vault's, or one that says "not now".
            SignerRefused: Vault says no.
        """
        left = max(self.deadline - time.monotonic(), 0.01)
        try:
            answer = super().request(method, url, timeout=left, **kwargs)
        except requests.RequestException as error:
            failure = vault_answers.of_transport(error, self.seconds)
        else:
            if isinstance(answer, dict) or answer.status_code == 204:
                return answer
            failure = SignerUnavailable("What answers at VAULT_ADDR does not answer as Vault does")
        # Not chained: a request's exception holds its headers, the token among them.
        raise failure from None

    def _raise_for_error(self, method: str, url: str, response: requests.Response) -> None:
        del method, url
        try:
            words = response.json()["errors"]
        except (ValueError, KeyError, TypeError):
            words = []
        raise vault_answers.of_status(response.status_code, [str(each) for each in words or []])


class VaultDoor:
    """Questions to one Vault, asked with a token that is renewed or replaced in time."""

    def __init__(self, settings: VaultSettings) -> None:
        _require(settings)
        self.settings = settings
        session = requests.Session()
        session.trust_env = False  # no proxy, and nobody's .netrc, between us and the key
        session.verify = str(settings.ca_file) if settings.ca_file else True
        self._client = hvac.Client(
            url=settings.address,
            token="",
            verify=session.verify,
            session=session,
            namespace=settings.namespace,
            adapter=BoundedAdapter,
        )
        self._lease: Lease | None = None

    def __repr__(self) -> str:
        return f"VaultDoor({self.settings.mount}/{self.settings.key})"

    def close(self) -> None:
        """Ends its connections."""
        self._client.adapter.close()

    def read_key(self) -> dict[str, Any]:
        """The key as Vault describes it: ``type``, and ``keys`` with a ``public_key`` each."""
        settings = self.settings
        return self._ask(
            lambda: self._client.secrets.transit.read_key(
                name=settings.key, mount_point=settings.mount
            )
        )

    def sign(self, inputs: list[str], version: int) -> list[dict[str, Any]]:
        """One answer for each input (base64), by one version of the key: one round trip."""
        settings = self.settings
        data = self._ask(
            lambda: self._client.secrets.transit.sign_data(
                name=settings.key,
                mount_point=settings.mount,
                key_version=version,
                batch_input=[{"input": each} for each in inputs],
            )
        )
        results = data.get("batch_results")
        if not isinstance(results, list) or len(results) != len(inputs):
            raise SignerRefused("Vault does not answer each message with a result")
        return results

    def tend(self) -> None:
        """Renews the token if that is due."""
        self._ask(lambda: {"data": {}})

    def _ask(self, question: Callable[[], Any]) -> dict[str, Any]:
        """The ``data`` of an answer; repeats what fails for now, while there is time.

        A signature is nothing that has happened: asking twice for one harms nobody.
        """
        adapter = self._client.adapter
        adapter.seconds = self.settings.timeout
        adapter.deadline = time.monotonic() + self.settings.timeout
        pause, renewed = FIRST_PAUSE, False
        while True:
            try:
                self._keep_token()
                return dict(question()["data"])
            except SignerRefused as refused:
                failure: BlockchainError = refused
                lease, self._lease = self._lease, None
                if renewed or lease is None or not may_log_in_again(self.settings, lease):
                    break
                renewed = True
            except SignerUnavailable as silent:
                failure = silent
                if time.monotonic() + pause >= adapter.deadline:
                    break
                time.sleep(pause)
                pause *= 2
            except (KeyError, TypeError, ValueError):
                failure = SignerUnavailable("Vault's answer cannot be read")
                break
        # As if raised here: the frames below hold tokens.
        raise failure.with_traceback(None) from None

    def _keep_token(self) -> None:
        if self._lease is None:
            self._lease = log_in(self._client, self.settings)
        elif self._lease.is_due:
            self._lease = renew(self._client, self.settings, self._lease)


def _require(settings: VaultSettings) -> None:
    """Refuses settings with which there is nobody to ask, in one line."""
    if not settings.address or not settings.key:
        missing = "VAULT_TRANSIT_KEY" if settings.address else "VAULT_ADDR"
        raise SignerRefused(f"{missing} is not set; MINT_SIGNER=vault needs it")
    if settings.ca_file is not None and not settings.ca_file.is_file():
        raise SignerRefused(f"VAULT_CACERT {settings.ca_file}: no such file")
