"""Secrets and signatures as Standard Webhooks has them (spec 1.0.0, symmetric, ``v1``).

No secret is stored. It is derived from the installation's key, the endpoint and a random salt, so a
copy of the database signs nothing, and a new salt is a new secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID

PREFIX = "whsec_"
"""How Standard Webhooks writes a secret: this, and base64 of 24 to 64 bytes."""

SALT_BYTES = 32

_PURPOSE = b"gridtoken/webhook/1"


def secret(installation_key: str, endpoint: UUID, salt: str) -> bytes:
    """The 32 bytes that an endpoint's messages are signed with.

    Args:
        installation_key: ``DJANGO_SECRET_KEY``.
        endpoint: Whose.
        salt: Hex, as stored.
    """
    seed = b"\0".join((_PURPOSE, endpoint.bytes, bytes.fromhex(salt)))
    return hmac.digest(installation_key.encode(), seed, hashlib.sha256)


def shown(key: bytes) -> str:
    """A secret as receivers get it."""
    return PREFIX + base64.b64encode(key).decode()


def check(key: bytes) -> str:
    """Tells whether a derived secret is still the one that was shown; tells nothing else of it."""
    return hashlib.sha256(_PURPOSE + b"/check\0" + key).hexdigest()[:16]


def headers(message_id: str, timestamp: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The three headers of a message, signed with every key that is valid.

    Args:
        message_id: ``webhook-id``.
        timestamp: Of the attempt, in seconds since 1970.
        body: The exact bytes that are sent.
        keys: The newest first; two while a secret is being replaced.
    """
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signatures = (
        base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys
    )
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
