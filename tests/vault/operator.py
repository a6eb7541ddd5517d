"""Whoever sets a Vault up: by its HTTP API alone, so that any server will do."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import requests
from solders.pubkey import Pubkey

KEY = "mint-authority"
POLICY = f"""
path "transit/keys/{KEY}" {{ capabilities = ["read"] }}
path "transit/sign/{KEY}" {{ capabilities = ["update"] }}
"""
"""As docs/keys.md has it."""


class Operator:
    """Has the root token of the server at ``url``."""

    def __init__(self, url: str, root: str) -> None:
        self.url = url
        self.root = root

    def write(self, path: str, **body: Any) -> dict[str, Any]:
        """POST, as an operator's command line does it."""
        return self._ask("POST", path, body)

    def read(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path, None)

    def prepare(self) -> None:
        """Engine, key, policy and AppRole, by the commands of docs/keys.md."""
        self.write("sys/mounts/transit", type="transit")
        self.write(f"transit/keys/{KEY}", type="ed25519")
        self.write("sys/policies/acl/gridtoken", policy=POLICY)
        self.write("sys/auth/approle", type="approle")
        self.role()

    def role(self, ttl: str = "1h") -> None:
        self.write("auth/approle/role/gridtoken", token_policies=["gridtoken"], token_ttl=ttl)

    def token(self, ttl: str = "1h", **options: Any) -> str:
        """A token that may read and use the key, and nothing else."""
        made = self.write("auth/token/create", policies=["gridtoken"], ttl=ttl, **options)
        return str(made["auth"]["client_token"])

    def approle(self) -> tuple[str, str]:
        """Role id and secret id."""
        role_id = self.read("auth/approle/role/gridtoken/role-id")["data"]["role_id"]
        secret_id = self.write("auth/approle/role/gridtoken/secret-id")["data"]["secret_id"]
        return role_id, secret_id

    def rotate(self) -> None:
        """Adds a version to the key."""
        self.write(f"transit/keys/{KEY}/rotate")

    def address(self, version: int = 1) -> Pubkey:
        """Of a version of the key."""
        key = self.read(f"transit/keys/{KEY}")["data"]["keys"][str(version)]
        return Pubkey.from_bytes(b64decode(key["public_key"]))

    def _ask(self, method: str, path: str, body: Any) -> dict[str, Any]:
        answer = requests.request(
            method,
            f"{self.url}/v1/{path}",
            json=body,
            headers={"X-Vault-Token": self.root},
            timeout=10,
        )
        assert answer.ok, answer.text
        return answer.json() if answer.content else {}
