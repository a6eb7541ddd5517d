"""Writing an owner's wallet: what may be one, and putting it in the place of the one before.

What this room's other modules build on; whether a second person has to be asked first is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from solders.pubkey import Pubkey

from readings.errors import InvalidWallet, ReasonRequired
from readings.intake.holding import rejudge
from readings.models import MeterReading, Owner, Wallet, WalletChange
from readings.rules import ReadingCode


@dataclass(frozen=True, slots=True)
class Wanted:
    """An address that somebody wants paid, and what must be allowed for it."""

    address: str
    allow_off_curve: bool = False
    allow_program_owned: bool = False
    exception_reason: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """As the tables have them."""
        return {name: getattr(self, name) for name in self.__slots__}

    def is_like(self, row: Wallet | WalletChange | None) -> bool:
        """Whether a row says just this."""
        return row is not None and all(
            getattr(row, name) == value for name, value in self.fields.items()
        )


def check_wallet(
    *,
    address: str,
    allow_off_curve: bool = False,
    allow_program_owned: bool = False,
    exception_reason: str = "",
) -> str:
    """The address as it would be registered, without registering it.

    Raises:
        InvalidWallet: Not an address, or off the curve without permission.
        ReasonRequired: An exception without a reason.
    """
    try:
        key = Pubkey.from_string(address.strip())
    except ValueError:
        raise InvalidWallet("A wallet is a Solana address: 32 bytes in base58") from None
    if not (allow_off_curve or key.is_on_curve()):
        raise InvalidWallet(
            "This address is off the curve: it belongs to a program, and nobody holds its key"
        )
    if (allow_off_curve or allow_program_owned) and not exception_reason.strip():
        raise ReasonRequired("A wallet with an exception")
    return str(key)


def lock_owner(owner: Owner) -> None:
    """Until the transaction ends, nobody else changes what this owner is paid at."""
    Owner.objects.select_for_update(no_key=True).get(id=owner.id)


def put_wallet(owner: Owner, wanted: Wanted) -> Wallet:
    """Retires the owner's wallet, registers this one, judges what waited; the owner is locked."""
    take_wallet(owner)
    wallet = Wallet.objects.create(owner=owner, **wanted.fields)
    rejudge(MeterReading.objects.held(ReadingCode.NO_WALLET).filter(owner=owner))
    return wallet


def take_wallet(owner: Owner) -> None:
    """Retires the owner's wallet, if there is one; the owner is locked."""
    # Saved one by one (there is one at most), so that the change log sees it.
    for wallet in owner.wallets.current():
        wallet.retired_at = timezone.now()
        wallet.save(update_fields=["retired_at"])
