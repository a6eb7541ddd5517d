"""A Vault for each test: the stand-in, and a real server where this machine has one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from minting.cluster.signers import VaultSettings
from tests.minting.conftest import drain, minting_chain
from tests.vault.operator import KEY, Operator
from tests.vault.server import StandIn

__all__ = ["drain", "minting_chain"]

PROGRAM = os.environ.get("VAULT_PROGRAM") or shutil.which("vault") or shutil.which("bao")


@dataclass(frozen=True)
class Place:
    """A server, and who may do everything there."""

    url: str
    operator: Operator

    def settings(self, **given: Any) -> VaultSettings:
        """For the operator's key; with a token of its policy, unless told otherwise."""
        if not given.keys() & {"token", "token_file", "role_id"}:
            given["token"] = self.operator.token()
        return VaultSettings(self.url, KEY, **given)


@pytest.fixture
def standin() -> Iterator[StandIn]:
    server = StandIn()
    Operator(server.url, server.root).prepare()
    yield server
    server.close()


@pytest.fixture(params=["stand-in", "real"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Ready to sign, each time anew."""
    if request.param == "stand-in":
        server = request.getfixturevalue("standin")
        yield Place(server.url, Operator(server.url, server.root))
        return
    if PROGRAM is None:
        pytest.skip("no Vault here: `vault` or `bao` (OpenBao) on the PATH, or VAULT_PROGRAM")
    with _real(PROGRAM, tmp_path) as url:
        operator = Operator(url, "root")
        operator.prepare()
        yield Place(url, operator)


class _real:  # noqa: N801 — used as a function
    """A server in memory, unsealed, without TLS."""

    def __init__(self, program: str, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = (home / "vault.log").open("wb")
        self._process = subprocess.Popen(
            [program, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root",
             f"-dev-listen-address=127.0.0.1:{port}"],
            env={**os.environ, "HOME": str(home)}, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def __enter__(self) -> str:
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            try:
                if requests.get(f"{self.url}/v1/sys/health", timeout=1).status_code == 200:
                    return self.url
            except requests.ConnectionError:
                time.sleep(0.05)
        raise AssertionError(f"no answer; see {self._log.name}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()
