"""From readings asked for to groups of one wallet: validate, optimize (seed), group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal

from solders.pubkey import Pubkey

from minting.engine.amounts import tokens_for
from minting.engine.errors import (
    BatchTooLarge,
    EmptyBatch,
    InvalidBatchData,
    InvalidItem,
    WalletRefused,
)
from minting.engine.types import U64_MAX, Group, MintBatchData, Payment
from minting.engine.wallets import parse_wallet

READINGS_A_TRANSACTION = 5_000
"""Whole transactions make up a slice, which one task holds in memory: none pays more readings."""


def validate(
    batch: Sequence[MintBatchData],
    *,
    max_size: int,
    ratio: Decimal,
    decimals: int,
    parse: Callable[[str], Pubkey] = parse_wallet,
) -> None:
    """Refuses a batch that cannot be minted as asked; tells all problems at once.

    Args:
        batch: What was asked, in the caller's order.
        max_size: ``BLOCKCHAIN_MAX_BATCH_SIZE``.
        ratio: Tokens per kWh.
        decimals: Places of the token's shown form.
        parse: ``parse_wallet``, with whatever the caller allows or forbids besides.

    Raises:
        EmptyBatch: Without readings.
        BatchTooLarge: With more than ``max_size`` readings.
        InvalidBatchData: With items ``named_twice``, ``invalid_amount``, ``wrong_amount`` and
            the codes of ``WalletRefused``.
    """
    if not batch:
        raise EmptyBatch
    if len(batch) > max_size:
        raise BatchTooLarge(len(batch), max_size)
    named = Counter(item.reading_id for item in batch)
    problems = [
        InvalidItem(reading_id, "named_twice", f"named {times} times")
        for reading_id, times in named.items()
        if times > 1
    ]
    for item in batch:
        problems += _amount_problems(item, ratio=ratio, decimals=decimals)
        problems += _wallet_problems(item, parse)
    if problems:
        readings = len({problem.reading_id for problem in problems})
        raise InvalidBatchData(f"{readings} of {len(named)} readings cannot be minted", problems)


def optimize_batch(
    batch: Sequence[MintBatchData], *, max_size: int, max_tokens: int
) -> list[list[MintBatchData]]:
    """Cuts a list as the seed does: order kept, greedy, within both limits.

    The running sum saturates at u64. An item above ``max_tokens`` goes alone.

    Args:
        batch: Readings in the caller's order.
        max_size: Readings that a part may hold, at least 1.
        max_tokens: Base units that a part may hold.
    """
    parts: list[list[MintBatchData]] = []
    current: list[MintBatchData] = []
    tokens = 0
    for item in batch:
        grown = min(tokens + item.tokens_to_mint, U64_MAX)
        if current and (len(current) >= max_size or grown > max_tokens):
            parts.append(current)
            current, grown = [], min(item.tokens_to_mint, U64_MAX)
        current.append(item)
        tokens = grown
    if current:
        parts.append(current)
    return parts


def group_by_wallet(
    batch: Sequence[MintBatchData],
    *,
    max_tokens: int,
    max_readings: int = READINGS_A_TRANSACTION,
) -> list[Group]:
    """Groups readings by (user, wallet): one group becomes one mint instruction.

    By both, because the seed's grouping by user alone would pay the first wallet for readings
    of another. Payments are ordered by the bytes of their ids, groups by wallet and user, so
    that the same readings always give the same plan. A group above ``max_tokens`` or
    ``max_readings`` is split between readings; one reading above ``max_tokens`` goes alone.

    Raises:
        InvalidBatchData: For a reading outside 1 … u64 (``invalid_amount``), or a reading named
            twice (``named_twice``): both would otherwise be paid wrongly.
        WalletRefused: For a wallet that is not 32 bytes of base58 (``invalid_wallet``).
    """
    if problems := list(_unpayable(batch)):
        raise InvalidBatchData("readings cannot be grouped", problems)
    wallets = {text: _pubkey(text) for text in {item.wallet_address for item in batch}}
    payments: dict[tuple[bytes, str], list[Payment]] = defaultdict(list)
    for item in batch:
        key = (bytes(wallets[item.wallet_address]), item.user_id)
        payments[key].append(Payment(item.reading_id, item.tokens_to_mint))
    return [
        Group(user_id=user_id, wallet=Pubkey(wallet), payments=part)
        for (wallet, user_id), paid in sorted(payments.items(), key=lambda entry: entry[0])
        for part in _split(paid, min(max_tokens, U64_MAX), max_readings)
    ]


def _split(
    payments: Iterable[Payment], max_tokens: int, max_readings: int
) -> Iterator[tuple[Payment, ...]]:
    """Payments, at least one, by their ids, cut greedily before a limit would be passed."""
    part: list[Payment] = []
    total = 0
    for payment in sorted(payments, key=lambda payment: payment.reading_id.bytes):
        if part and (total + payment.base_units > max_tokens or len(part) >= max_readings):
            yield tuple(part)
            part, total = [], 0
        part.append(payment)
        total += payment.base_units
    yield tuple(part)


def _unpayable(batch: Sequence[MintBatchData]) -> Iterator[InvalidItem]:
    """What no rule about energy needs to know to be refused."""
    for reading_id, times in Counter(item.reading_id for item in batch).items():
        if times > 1:
            yield InvalidItem(reading_id, "named_twice", f"named {times} times")
    for item in batch:
        if not 0 < item.tokens_to_mint <= U64_MAX:
            yield _invalid_amount(
                item, f"{item.tokens_to_mint} base units are not within 1 … {U64_MAX}"
            )


def _amount_problems(
    item: MintBatchData, *, ratio: Decimal, decimals: int
) -> Iterator[InvalidItem]:
    """``invalid_amount`` if the sum cannot be minted, ``wrong_amount`` if the rule differs."""
    if not 0 < item.tokens_to_mint <= U64_MAX:
        yield _invalid_amount(
            item, f"{item.tokens_to_mint} base units are not within 1 … {U64_MAX}"
        )
        return
    try:
        due = tokens_for(item.kwh_amount, ratio=ratio, decimals=decimals)
    except InvalidBatchData as error:
        yield _invalid_amount(item, error.reason)
        return
    if due != item.tokens_to_mint:
        detail = f"{item.kwh_amount} kWh earn {due} base units, not {item.tokens_to_mint}"
        yield InvalidItem(item.reading_id, "wrong_amount", detail)


def _invalid_amount(item: MintBatchData, detail: str) -> InvalidItem:
    return InvalidItem(item.reading_id, "invalid_amount", detail)


def _wallet_problems(item: MintBatchData, parse: Callable[[str], Pubkey]) -> Iterator[InvalidItem]:
    try:
        parse(item.wallet_address)
    except WalletRefused as refused:
        yield InvalidItem(item.reading_id, refused.code, str(refused))


def _pubkey(text: str) -> Pubkey:
    """The 32 bytes alone: whether they may be paid was judged before."""
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise WalletRefused("invalid_wallet", "not 32 bytes of base58") from error
