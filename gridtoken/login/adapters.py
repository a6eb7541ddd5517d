"""What allauth leaves to its site: here only staff, no sign-up, no mail, secrets encrypted."""

from __future__ import annotations

import base64
import time
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.utils.encoding import force_bytes

from gridtoken.proxy import client_address

PURPOSE = b"gridtoken/second-factor/1"


class AccountAdapter(DefaultAccountAdapter):
    """Logging in, and being asked once more before a factor is changed."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never: an administrator makes users."""
        del request
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """As the trusted proxy says; nothing over a Unix socket."""
        return client_address(request) or ""

    def is_reauthentication_required(self, *, app: str, **more: Any) -> bool:
        """Not of whoever has just logged in."""
        request = context.request
        records = get_authentication_records(request, request.user)
        last = max((record["at"] for record in records), default=0.0)
        if time.time() - last < app_settings.REAUTHENTICATION_TIMEOUT:
            return False
        return bool(super().is_reauthentication_required(app=app, **more))


class FactorAdapter(DefaultMFAAdapter):
    """Keeps secrets encrypted by a key that comes from ``SECRET_KEY``."""

    def encrypt(self, text: str) -> str:
        """Fernet: AES-128-CBC and HMAC-SHA256."""
        return _box().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """The other way, also with keys of before.

        Raises:
            cryptography.fernet.InvalidToken: It was encrypted under another ``SECRET_KEY``.
        """
        return _box().decrypt(encrypted_text.encode()).decode()

    def get_totp_label(self, user: AbstractBaseUser) -> str:
        """The user's name: an e-mail address may be shared, and changes."""
        return user.get_username()


def _box() -> MultiFernet:
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_key(force_bytes(secret))) for secret in secrets])


def _key(secret: bytes) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret)
    return base64.urlsafe_b64encode(derived)
