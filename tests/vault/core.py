"""What Vault keeps and decides, as far as a signer meets it: keys, tokens, policies, AppRole.

Stands in for the server of the same API: statuses, shapes and words are those of HashiCorp's
documentation and of OpenBao 2.7, against which ``test_contract.py`` runs too where there is one.
It really signs (Ed25519) and really checks every token, its life and its policies.
"""

from __future__ import annotations

import re
import threading
import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe
from typing import Any
from uuid import uuid4

from solders.keypair import Keypair

Body = Mapping[str, Any]
Answer = tuple[int, dict[str, Any] | None]

FOR_EVER = float("inf")


class Denied(Exception):
    """An answer with a status of 400 or above."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(*errors)
        self.answer: Answer = status, {"errors": list(errors)}


@dataclass
class TransitKey:
    """A key and its versions; the first is 1."""

    name: str
    kind: str
    versions: list[tuple[Keypair, datetime]] = field(default_factory=list)
    least_for_signing: int = 0
    least_kept: int = 1

    def rotate(self) -> None:
        self.versions.append((Keypair(), datetime.now(UTC)))

    def sign(self, item: Body, number: int) -> dict[str, Any]:
        """One item of ``batch_results``."""
        number = number or len(self.versions)
        if "input" not in item:
            return self._failed("missing input")
        try:
            message = b64decode(item["input"], validate=True)
        except (NotBase64, ValueError):
            return self._failed("unable to decode input as base64: illegal base64 data")
        if number > len(self.versions):
            return self._failed(
                "requested version for signing is higher than the latest key version"
            )
        if number < max(self.least_for_signing, self.least_kept):
            return self._failed(
                "requested version for signing is less than the minimum encryption key version"
            )
        signature = bytes(self.versions[number - 1][0].sign_message(message))
        text = f"vault:v{number}:{b64encode(signature).decode()}"
        return {"signature": text, "key_version": number, "reference": ""}

    def _failed(self, why: str) -> dict[str, Any]:
        return {"key_version": 0, "error": why, "reference": ""}

    def described(self) -> dict[str, Any]:
        """As ``GET transit/keys/:name`` shows it."""
        signs = self.kind == "ed25519"
        shown = {
            str(number): {
                "certificate_chain": "",
                "creation_time": made.isoformat().replace("+00:00", "Z"),
                "name": self.kind,
                "public_key": b64encode(bytes(pair.pubkey())).decode(),
            }
            if signs
            else int(made.timestamp())
            for number, (pair, made) in enumerate(self.versions, 1)
            if number >= self.least_kept
        }
        return {
            "name": self.name,
            "type": self.kind,
            "derived": False,
            "exportable": False,
            "allow_plaintext_backup": False,
            "deletion_allowed": False,
            "imported_key": False,
            "keys": shown,
            "latest_version": len(self.versions),
            "min_available_version": 0,
            "min_decryption_version": self.least_kept,
            "min_encryption_version": self.least_for_signing,
            "supports_encryption": not signs,
            "supports_decryption": not signs,
            "supports_derivation": True,
            "supports_signing": signs,
        }


@dataclass
class Token:
    """A right, and until when."""

    id: str
    policies: tuple[str, ...]
    ttl: float
    renewable: bool
    ends_at: float
    max_at: float = FOR_EVER

    @property
    def left(self) -> float:
        return self.ends_at - time.monotonic()

    def auth(self) -> dict[str, Any]:
        """The ``auth`` of an answer that gives or renews it."""
        return {
            "client_token": self.id,
            "accessor": self.id[-8:],
            "policies": ["default", *self.policies],
            "token_policies": ["default", *self.policies],
            "metadata": None,
            "lease_duration": 0 if self.ttl == FOR_EVER else int(self.left + 0.5),
            "renewable": self.renewable,
            "entity_id": "",
            "token_type": "service",
            "orphan": False,
            "mfa_requirement": None,
            "num_uses": 0,
        }


class Core:
    """The state behind the HTTP."""

    def __init__(self, root: str = "root", namespace: str = "") -> None:
        self.sealed = False
        self.namespace = namespace
        self.mounts: set[str] = set()
        self.keys: dict[tuple[str, str], TransitKey] = {}
        self.policies: dict[str, list[tuple[str, set[str]]]] = {}
        self.tokens = {root: Token(root, ("root",), FOR_EVER, False, FOR_EVER)}
        self.roles: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        """One request, as the server would answer it."""
        with self._lock:
            try:
                return self._answer(method, path, body, headers)
            except Denied as denied:
                return denied.answer

    def _answer(self, method: str, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        if path == "sys/health":
            status = {"initialized": True, "sealed": self.sealed, "standby": self.sealed}
            return (503 if self.sealed else 200), status
        if self.sealed:
            raise Denied(503, "Vault is sealed")
        if headers.get("X-Vault-Namespace", "").strip("/") != self.namespace:
            raise Denied(404, "namespace not found")
        if re.fullmatch(r"auth/[^/]+/login", path):
            return self._log_in(path.split("/")[1], body)
        token = self._token(headers)
        self._allow(token, method, path)
        for pattern, handler in self._routes():
            if match := re.fullmatch(pattern, path):
                data = handler(method, token, body, *match.groups())
                return (200, _wrapped(data)) if data is not None else (204, None)
        raise Denied(404, f'no handler for route "{path}". route entry not found.')

    def _routes(self) -> list[tuple[str, Callable[..., dict[str, Any] | None]]]:
        return [
            (r"sys/mounts/(.+)", self._mount),
            (r"sys/auth/approle", lambda *_: None),
            (r"sys/seal", self._seal),
            (r"sys/policies/acl/(.+)", self._write_policy),
            (r"auth/token/create", self._create_token),
            (r"auth/token/lookup-self", self._look_up),
            (r"auth/token/renew-self", self._renew),
            (r"auth/token/revoke", self._revoke),
            (r"auth/approle/role/([^/]+)", self._write_role),
            (r"auth/approle/role/([^/]+)/role-id", self._role_id),
            (r"auth/approle/role/([^/]+)/secret-id", self._secret_id),
            *(
                (rf"({mount})/{rest}", handler)
                for mount in self.mounts
                for rest, handler in (
                    (r"keys/([^/]+)", self._key),
                    (r"keys/([^/]+)/rotate", self._rotate),
                    (r"keys/([^/]+)/config", self._configure),
                    (r"sign/([^/]+)(?:/[^/]+)?", self._sign),
                )
            ),
        ]

    # ------------------------------------------------------------------ rights
    def _token(self, headers: Mapping[str, str]) -> Token:
        token = self.tokens.get(headers.get("X-Vault-Token", ""))
        if token is None or token.left <= 0:
            raise Denied(403, "permission denied")
        return token

    def _allow(self, token: Token, method: str, path: str) -> None:
        wanted = {"read"} if method == "GET" else {"update", "create"}
        own = path in ("auth/token/lookup-self", "auth/token/renew-self")  # policy "default"
        granted = any(
            path == rule and wanted & capabilities
            for name in token.policies
            for rule, capabilities in self.policies.get(name, [])
        )
        if not (own or granted or "root" in token.policies):
            raise Denied(403, "1 error occurred:\n\t* permission denied\n\n")

    def issue(self, policies: list[str], ttl: float, *, renewable: bool, most: float) -> Token:
        """A new token."""
        now = time.monotonic()
        made = Token(
            f"hvs.{token_urlsafe(24)}", (*policies,), ttl, renewable, now + ttl, now + most
        )
        self.tokens[made.id] = made
        return made

    def _create_token(self, _method: str, _by: Token, body: Body) -> dict[str, Any]:
        ttl, most = seconds(body.get("ttl")), seconds(body.get("explicit_max_ttl"))
        renewable = bool(body.get("renewable", True))
        token = self.issue(body["policies"], ttl, renewable=renewable, most=most)
        return {"auth": token.auth()}

    def _look_up(self, _method: str, token: Token, _body: Body) -> dict[str, Any]:
        ttl = 0 if token.ttl == FOR_EVER else int(token.left)
        return {
            "id": token.id,
            "expire_time": None if token.ttl == FOR_EVER else shown(token.left),
            "policies": ["default", *token.policies],
            "renewable": token.renewable,
            "ttl": ttl,
            "type": "service",
        }

    def _renew(self, _method: str, token: Token, _body: Body) -> dict[str, Any]:
        if not token.renewable:
            raise Denied(400, "lease is not renewable")
        token.ends_at = min(time.monotonic() + token.ttl, token.max_at)
        return {"auth": token.auth()}

    def _revoke(self, _method: str, _by: Token, body: Body) -> None:
        self.tokens.pop(body["token"], None)

    def _write_policy(self, _method: str, _by: Token, body: Body, name: str) -> None:
        rules = re.findall(r'path "([^"]+)"\s*{\s*capabilities = \[([^]]*)\]', body["policy"])
        self.policies[name] = [(path, set(re.findall(r'"(\w+)"', words))) for path, words in rules]

    # ------------------------------------------------------------------ AppRole
    def _write_role(self, _method: str, _by: Token, body: Body, name: str) -> None:
        self.roles[name] = {**body, "role_id": str(uuid4()), "secrets": set()}

    def _role_id(self, _method: str, _by: Token, _body: Body, name: str) -> dict[str, Any]:
        return {"role_id": self.roles[name]["role_id"]}

    def _secret_id(self, _method: str, _by: Token, _body: Body, name: str) -> dict[str, Any]:
        made = str(uuid4())
        self.roles[name]["secrets"].add(made)
        return {"secret_id": made, "secret_id_num_uses": 0, "secret_id_ttl": 0}

    def _log_in(self, mount: str, body: Body) -> Answer:
        for role in self.roles.values() if mount == "approle" else ():
            if role["role_id"] == body.get("role_id") and body.get("secret_id") in role["secrets"]:
                ttl, most = seconds(role.get("token_ttl")), seconds(role.get("token_max_ttl"))
                token = self.issue(role["token_policies"], ttl, renewable=True, most=most)
                return 200, _wrapped({"auth": token.auth()})
        if mount != "approle":
            raise Denied(403, "permission denied")
        raise Denied(400, "invalid role or secret ID")

    # ------------------------------------------------------------------ transit
    def _mount(self, _method: str, _by: Token, _body: Body, path: str) -> None:
        self.mounts.add(path.strip("/"))

    def _seal(self, _method: str, _by: Token, _body: Body) -> None:
        self.sealed = True

    def _key(self, method: str, _by: Token, body: Body, mount: str, name: str) -> dict[str, Any]:
        if method != "GET" and (mount, name) not in self.keys:
            self.keys[mount, name] = TransitKey(name, body.get("type", "aes256-gcm96"))
            self.keys[mount, name].rotate()
        if (mount, name) not in self.keys:
            raise Denied(404)
        return self.keys[mount, name].described()

    def _rotate(self, _method: str, _by: Token, _body: Body, mount: str, name: str) -> None:
        self.keys[mount, name].rotate()

    def _configure(self, _method: str, _by: Token, body: Body, mount: str, name: str) -> None:
        key = self.keys[mount, name]
        key.least_for_signing = body.get("min_encryption_version", key.least_for_signing)
        key.least_kept = body.get("min_decryption_version", key.least_kept)

    def _sign(self, _method: str, _by: Token, body: Body, mount: str, name: str) -> dict[str, Any]:
        key = self.keys.get((mount, name))
        if key is None:
            raise Denied(400, "signing key not found")
        if key.kind != "ed25519":
            raise Denied(400, f"key type {key.kind} does not support signing")
        number = int(body.get("key_version", 0))
        if "batch_input" in body:
            if not body["batch_input"]:
                raise Denied(400, "missing batch input to process")
            return {"batch_results": [key.sign(item, number) for item in body["batch_input"]]}
        made = key.sign(body, number)
        if "error" in made:
            raise Denied(500, f"1 error occurred:\n\t* {made['error']}\n\n")
        return {"signature": made["signature"], "key_version": made["key_version"]}


def seconds(text: Any) -> float:
    """``"3s"``, ``"1h"`` or a number; nothing, or 0, is for ever."""
    match = re.fullmatch(r"(\d+)([smh]?)", str(text or 0))
    assert match, text
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3_600}[match[2]] or FOR_EVER


def shown(left: float) -> str:
    """The time that is so many seconds away."""
    return (datetime.now(UTC) + timedelta(seconds=left)).isoformat().replace("+00:00", "Z")


def _wrapped(data: dict[str, Any]) -> dict[str, Any]:
    """The envelope of every answer with data; ``auth`` stands beside them."""
    auth = data.pop("auth", None) if "auth" in data else None
    return {
        "request_id": str(uuid4()),
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data or None,
        "wrap_info": None,
        "warnings": None,
        "auth": auth,
    }
