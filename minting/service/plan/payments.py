"""What each reading earns and where it goes, by the rules: readings asked for become payments.

Whatever their number, they pass through in the order of wallets and are never held all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from solders.pubkey import Pubkey

from minting.conf import MintingConfig
from minting.engine.amounts import tokens_for
from minting.engine.errors import InvalidBatchData, InvalidItem, WalletRefused
from minting.engine.types import MintBatchData
from minting.engine.wallets import parse_wallet
from minting.models import MintInfo
from readings import queries
from readings.queries import Excluded, Ids, MintableRow
from readings.rules import ReadingStatus


def walk_payments(
    ids: Ids, *, allowed: frozenset[ReadingStatus], mint: MintInfo, config: MintingConfig
) -> Iterator[MintBatchData | InvalidItem]:
    """Each reading once: as what it earns, or as why it cannot be paid; nothing is locked.

    Args:
        ids: Which readings.
        allowed: The statuses that the caller mints.
        mint: What they are paid in.
        config: The ratio.

    Returns:
        In the order of wallet, owner and id, so that a group's payments follow one another.
    """
    paid_in = Pubkey.from_string(mint.address)
    rows = queries.walk_for_minting(ids, allowed=allowed)
    for address, together in groupby(rows, key=_address):
        refused = None if address is None else _refusal_of(address, paid_in)
        for row in together:
            if isinstance(row, Excluded):
                yield InvalidItem(row.reading_id, row.code, row.reason)
            elif refused and not _is_waived(refused, row.allow_off_curve):
                yield InvalidItem(row.reading_id, refused.code, str(refused))
            else:
                yield _payment(row, mint=mint, config=config)


def _address(row: MintableRow | Excluded) -> str | None:
    return row.wallet_address if isinstance(row, MintableRow) else None


def refusal_of(address: str, *, allow_off_curve: bool, mint: Pubkey) -> WalletRefused | None:
    """Why nobody is paid at a wallet, whatever the reading and whatever the chain says of it."""
    refused = _refusal_of(address, mint)
    return None if refused and _is_waived(refused, allow_off_curve) else refused


def _refusal_of(address: str, mint: Pubkey) -> WalletRefused | None:
    """Asked once a wallet, since the curve takes a while."""
    try:
        parse_wallet(address, forbidden={mint})
    except WalletRefused as refused:
        return refused
    return None


def _is_waived(refused: WalletRefused, allow_off_curve: bool) -> bool:
    return allow_off_curve and refused.code == "off_curve_wallet"


def _payment(
    row: MintableRow, *, mint: MintInfo, config: MintingConfig
) -> MintBatchData | InvalidItem:
    try:
        tokens = tokens_for(row.kwh_amount, ratio=config.ratio, decimals=mint.decimals)
    except InvalidBatchData as error:
        return InvalidItem(row.reading_id, "invalid_amount", error.reason)
    return MintBatchData(
        reading_id=row.reading_id,
        user_id=row.owner_user_id,
        wallet_address=row.wallet_address,
        kwh_amount=row.kwh_amount,
        tokens_to_mint=tokens,
        meter_id=row.meter_serial,
    )
