"""Which wallets may be paid, and what is at their token account's address.

Every refusal is a ``WalletRefused`` that blames this wallet alone (I8); its code says why:

===========================  =====================================================================
``invalid_wallet``           not 32 bytes of base58
``off_curve_wallet``         nobody can hold a key for it, and nobody allowed it by name
``forbidden_wallet``         sysvar, native or token program, incinerator, our mint, a token account
``wallet_not_system_account``  an account that a program owns, or that holds data
``account_not_token``        the associated address holds something else than a token account
``account_uninitialized``    a token account that was never initialised
``account_other_mint``       a token account of another mint
``account_owner_changed``    ``SetAuthority`` gave it to somebody else: a mint would pay a stranger
``account_frozen``           the freeze authority froze it
===========================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from solana.constants import SYSTEM_PROGRAM_ID
from solders.pubkey import Pubkey
from spl.token.constants import (
    ACCOUNT_LEN,
    TOKEN_2022_PROGRAM_ID,
    TOKEN_PROGRAM_ID,
)
from spl.token.instructions import get_associated_token_address

from minting.engine.errors import WalletRefused
from minting.engine.types import AccountView, MintFacts

# Addresses that the runtime or a program of everybody's owns: tokens sent there are lost.
# Source: solana-sdk-ids 3 and the SPL programs' own ``declare_id!``.
NEVER_WALLETS: frozenset[Pubkey] = frozenset(
    Pubkey.from_string(address)
    for address in (
        "11111111111111111111111111111111",
        "1nc1nerator11111111111111111111111111111111",
        "AddressLookupTab1e1111111111111111111111111",
        "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL",
        "BPFLoader1111111111111111111111111111111111",
        "BPFLoader2111111111111111111111111111111111",
        "BPFLoaderUpgradeab1e11111111111111111111111",
        "ComputeBudget111111111111111111111111111111",
        "Config1111111111111111111111111111111111111",
        "Ed25519SigVerify111111111111111111111111111",
        "Feature111111111111111111111111111111111111",
        "KeccakSecp256k11111111111111111111111111111",
        "LoaderV411111111111111111111111111111111111",
        "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo",
        "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr",
        "NativeLoader1111111111111111111111111111111",
        "Secp256r1SigVerify1111111111111111111111111",
        "Stake11111111111111111111111111111111111111",
        "StakeConfig11111111111111111111111111111111",
        "So11111111111111111111111111111111111111112",
        "Sysvar1111111111111111111111111111111111111",
        "SysvarC1ock11111111111111111111111111111111",
        "SysvarEpochRewards1111111111111111111111111",
        "SysvarEpochSchedu1e111111111111111111111111",
        "SysvarFees111111111111111111111111111111111",
        "Sysvar1nstructions1111111111111111111111111",
        "SysvarLastRestartS1ot1111111111111111111111",
        "SysvarRecentB1ockHashes11111111111111111111",
        "SysvarRent111111111111111111111111111111111",
        "SysvarRewards111111111111111111111111111111",
        "SysvarS1otHashes111111111111111111111111111",
        "SysvarS1otHistory11111111111111111111111111",
        "SysvarStakeHistory1111111111111111111111111",
        "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
        "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
        "Vote111111111111111111111111111111111111111",
        "ZkE1Gama1Proof11111111111111111111111111111",
        "ZkTokenProof1111111111111111111111111111111",
    )
)

TOKEN_PROGRAMS: frozenset[Pubkey] = frozenset({TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID})

# Token-2022 writes the kind of an account at this offset, behind the base layout, once the
# account has extensions (spl_token_2022::extension, AccountType).
ACCOUNT_TYPE_OFFSET = ACCOUNT_LEN
ACCOUNT_TYPE_MINT = 1
ACCOUNT_TYPE_ACCOUNT = 2

_STATE_OFFSET = 108
_FROZEN = 2


class TokenAccountState(NamedTuple):
    """What a payment to a token account needs to know of it."""

    create: bool
    """Whether the account is missing."""
    held_lamports: int
    """What the address of a missing account holds already; 0 for an existing one."""


def parse_wallet(
    text: str,
    *,
    allowed: Collection[Pubkey] = (),
    forbidden: Collection[Pubkey] = (),
) -> Pubkey:
    """The wallet that a text names.

    Args:
        text: Base58 as the registry holds it.
        allowed: Off-curve addresses (multisigs, programs' own) that a person allowed by name.
        forbidden: Addresses that are no wallets here: our mint, and the associated token
            accounts of wallets that we know.

    Raises:
        WalletRefused: ``invalid_wallet``, ``forbidden_wallet`` or ``off_curve_wallet``.
    """
    try:
        wallet = Pubkey.from_string(text)
    except ValueError as error:
        raise WalletRefused("invalid_wallet", "The wallet is not 32 bytes of base58") from error
    if wallet in NEVER_WALLETS or wallet in forbidden:
        raise WalletRefused("forbidden_wallet", f"{wallet} is no wallet: nobody could spend there")
    if not wallet.is_on_curve() and wallet not in allowed:
        raise WalletRefused("off_curve_wallet", f"{wallet} has no private key and is not allowed")
    return wallet


def associated_token_address(wallet: Pubkey, mint: MintFacts) -> Pubkey:
    """The one token account that we ever pay for a wallet."""
    return derived_token_address(wallet, mint.address, mint.token_program)


# Asked for seven times on a wallet's way from plan to wire, and each time it searches for a bump
# seed: it is most of what a new wallet would cost us.
@lru_cache(maxsize=16_384)
def derived_token_address(wallet: Pubkey, mint: Pubkey, token_program: Pubkey) -> Pubkey:
    """The same, where no more of the mint is known than these addresses."""
    return get_associated_token_address(wallet, mint, token_program)


def judge_wallet_account(view: AccountView | None, *, allowed: bool = False) -> None:
    """Refuses a wallet whose own account is not a plain system account.

    Args:
        view: The account at the wallet's address; ``None`` is fine, a wallet need not be funded.
        allowed: Whether a person allowed this wallet by name.

    Raises:
        WalletRefused: ``wallet_not_system_account``.
    """
    if view is None or allowed or _is_plain(view):
        return
    raise WalletRefused(
        "wallet_not_system_account",
        f"The wallet's account belongs to {view.owner} and holds {len(view.data)} bytes of data",
    )


def judge_token_account(
    wallet: Pubkey, view: AccountView | None, mint: MintFacts
) -> TokenAccountState:
    """Whether the wallet's associated account exists, is missing, or must not be paid.

    *Missing* is an address without account, or with lamports only: anyone can send them there.

    Args:
        wallet: Who is to be paid.
        view: The account at the associated address.
        mint: The mint that pays.

    Raises:
        WalletRefused: ``account_not_token``, ``account_uninitialized``, ``account_other_mint``,
            ``account_owner_changed`` or ``account_frozen``.
    """
    if view is None:
        return TokenAccountState(create=True, held_lamports=0)
    if _is_plain(view):
        return TokenAccountState(create=True, held_lamports=view.lamports)
    data = view.data
    if not _is_token_account(view, mint.token_program):
        raise WalletRefused("account_not_token", "The wallet's token address holds something else")
    if data[_STATE_OFFSET] == 0:
        raise WalletRefused("account_uninitialized", "The token account was never initialised")
    if data[:32] != bytes(mint.address):
        raise WalletRefused("account_other_mint", "The token account belongs to another mint")
    if data[32:64] != bytes(wallet):
        raise WalletRefused(
            "account_owner_changed", f"The token account now belongs to {Pubkey(data[32:64])}"
        )
    if data[_STATE_OFFSET] == _FROZEN:
        raise WalletRefused("account_frozen", "The token account is frozen")
    return TokenAccountState(create=False, held_lamports=0)


def _is_plain(view: AccountView) -> bool:
    """System-owned, without data, not a program: an account that anyone may create upon."""
    return view.owner == SYSTEM_PROGRAM_ID and not view.data and not view.executable


def _is_token_account(view: AccountView, token_program: Pubkey) -> bool:
    """Whether the data has the layout of a token account, with or without extensions.

    SPL Token: 165 bytes. Token-2022: the same, or longer with its account type behind.
    """
    if view.owner != token_program or view.executable:
        return False
    if len(view.data) == ACCOUNT_LEN:
        return True
    return (
        token_program == TOKEN_2022_PROGRAM_ID
        and len(view.data) > ACCOUNT_LEN
        and view.data[ACCOUNT_TYPE_OFFSET] == ACCOUNT_TYPE_ACCOUNT
    )
