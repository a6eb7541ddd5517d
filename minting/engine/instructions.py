"""Pure builders of the instructions we send: values in, one instruction out.

solana-py and solders build them where they can; what is here fixes our choices (idempotent
create, checked mint, memo without signers). The two that every wallet needs several times are
written out, which is many times as fast as the library's layouts; a test compares with these.
"""

from __future__ import annotations

from solana.constants import SYSTEM_PROGRAM_ID
from solders import compute_budget, system_program
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.token import instructions as spl_token
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID, MINT_LEN
from spl.token.models import InitializeMint2Params

from minting.engine.types import Destination, MintFacts
from minting.engine.wallets import associated_token_address

_CREATE_IDEMPOTENT = b"\x01"
"""spl_associated_token_account::instruction::AssociatedTokenAccountInstruction."""
_MINT_TO_CHECKED = 14
"""spl_token::instruction::TokenInstruction: tag, amount (u64, little endian), decimals (u8)."""


def create_token_account(destination: Destination, mint: MintFacts, payer: Pubkey) -> Instruction:
    """``CreateIdempotent``: succeeds as well if somebody created the account meanwhile."""
    wallet = destination.group.wallet
    return Instruction(
        ASSOCIATED_TOKEN_PROGRAM_ID,
        _CREATE_IDEMPOTENT,
        [
            AccountMeta(payer, is_signer=True, is_writable=True),
            AccountMeta(associated_token_address(wallet, mint), is_signer=False, is_writable=True),
            AccountMeta(wallet, is_signer=False, is_writable=False),
            AccountMeta(mint.address, is_signer=False, is_writable=False),
            AccountMeta(SYSTEM_PROGRAM_ID, is_signer=False, is_writable=False),
            AccountMeta(mint.token_program, is_signer=False, is_writable=False),
        ],
    )


def mint_to_checked(destination: Destination, mint: MintFacts, authority: Pubkey) -> Instruction:
    """``MintToChecked``: the group's sum; the program compares the decimals."""
    amount = destination.group.base_units.to_bytes(8, "little")
    return Instruction(
        mint.token_program,
        bytes([_MINT_TO_CHECKED]) + amount + bytes([mint.decimals]),
        [
            AccountMeta(mint.address, is_signer=False, is_writable=True),
            AccountMeta(destination.token_account, is_signer=False, is_writable=True),
            AccountMeta(authority, is_signer=True, is_writable=False),
        ],
    )


def memo(text: str) -> Instruction:
    """A memo that nobody signs: the transaction's own signature covers it."""
    return Instruction(MEMO_PROGRAM_ID, text.encode("utf-8"), [])


def compute_unit_limit(units: int) -> Instruction:
    """What a v0 transaction may use; v1 has it in its config."""
    return compute_budget.set_compute_unit_limit(units)


def compute_unit_price(micro_lamports: int) -> Instruction:
    """What a v0 transaction bids per compute unit; v1 bids a sum in its config."""
    return compute_budget.set_compute_unit_price(micro_lamports)


def loaded_data_limit(size: int) -> Instruction:
    """How many bytes of accounts a v0 transaction may load; v1 has it in its config."""
    return compute_budget.set_loaded_accounts_data_size_limit(size)


def mint_address_with_seed(base: Pubkey, seed: str, token_program: Pubkey) -> Pubkey:
    """Where ``create_account_with_seed`` puts the mint: the same for the same arguments."""
    return Pubkey.create_with_seed(base, seed, token_program)


def create_account_with_seed(
    *, payer: Pubkey, base: Pubkey, seed: str, token_program: Pubkey, lamports: int
) -> Instruction:
    """Creates the account of an SPL Token mint (82 bytes) at an address derived from ``base``.

    Args:
        payer: Pays ``lamports``.
        base: Signs; the address is derived from it, so that a second run finds the first's mint.
        seed: Up to 32 bytes of text.
        token_program: Owner of the new account.
        lamports: Rent-exempt minimum of 82 bytes.
    """
    return system_program.create_account_with_seed(
        system_program.CreateAccountWithSeedParams(
            from_pubkey=payer,
            to_pubkey=mint_address_with_seed(base, seed, token_program),
            base=base,
            seed=seed,
            lamports=lamports,
            space=MINT_LEN,
            owner=token_program,
        )
    )


def initialize_mint2(
    *,
    mint: Pubkey,
    token_program: Pubkey,
    decimals: int,
    mint_authority: Pubkey,
    freeze_authority: Pubkey | None = None,
) -> Instruction:
    """Makes a fresh account a mint without supply."""
    return spl_token.initialize_mint2(
        InitializeMint2Params(
            program_id=token_program,
            mint=mint,
            decimals=decimals,
            mint_authority=mint_authority,
            freeze_authority=freeze_authority,
        )
    )
