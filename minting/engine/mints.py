"""What a mint account says, and whether we dare to mint with it.

Both token programs share the 82-byte layout. A Token-2022 mint with extensions is padded to 165
bytes, then comes the account type (1) and a list of (type u16, length u16, value), little endian
(spl_token_2022::extension). An extension decides two things here: whether minting is safe, and
how large the mint's token accounts are, since their rent is part of every estimate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from solders.pubkey import Pubkey
from spl.token.constants import ACCOUNT_LEN, MINT_LEN, TOKEN_2022_PROGRAM_ID

from minting.engine.errors import MintingRefused
from minting.engine.types import AccountView, MintFacts
from minting.engine.wallets import ACCOUNT_TYPE_MINT, ACCOUNT_TYPE_OFFSET, TOKEN_PROGRAMS

# spl_token_2022::extension::ExtensionType, those of mints.
TRANSFER_FEE_CONFIG = 1
MINT_CLOSE_AUTHORITY = 3
CONFIDENTIAL_TRANSFER_MINT = 4
DEFAULT_ACCOUNT_STATE = 6
NON_TRANSFERABLE = 9
INTEREST_BEARING_CONFIG = 10
PERMANENT_DELEGATE = 12
TRANSFER_HOOK = 14
CONFIDENTIAL_TRANSFER_FEE_CONFIG = 16
METADATA_POINTER = 18
TOKEN_METADATA = 19
GROUP_POINTER = 20
TOKEN_GROUP = 21
GROUP_MEMBER_POINTER = 22
TOKEN_GROUP_MEMBER = 23
CONFIDENTIAL_MINT_BURN = 24
SCALED_UI_AMOUNT = 25
PAUSABLE = 26

ACCOUNT_BYTES: Mapping[int, int] = {
    TRANSFER_FEE_CONFIG: 8,
    MINT_CLOSE_AUTHORITY: 0,
    CONFIDENTIAL_TRANSFER_MINT: 0,
    DEFAULT_ACCOUNT_STATE: 0,
    NON_TRANSFERABLE: 0,
    INTEREST_BEARING_CONFIG: 0,
    PERMANENT_DELEGATE: 0,
    TRANSFER_HOOK: 1,
    CONFIDENTIAL_TRANSFER_FEE_CONFIG: 0,
    METADATA_POINTER: 0,
    TOKEN_METADATA: 0,
    GROUP_POINTER: 0,
    TOKEN_GROUP: 0,
    GROUP_MEMBER_POINTER: 0,
    TOKEN_GROUP_MEMBER: 0,
    SCALED_UI_AMOUNT: 0,
    PAUSABLE: 0,
}
"""Extensions known to leave ``MintToChecked`` as it is, and the length of the value that their
counterpart takes in a token account, if ``DEMANDED`` says that there is one."""

DEMANDED: frozenset[int] = frozenset(
    {TRANSFER_FEE_CONFIG, NON_TRANSFERABLE, TRANSFER_HOOK, PAUSABLE}
)
"""Extensions of a mint that every account of it must have a counterpart of, from its creation
(``ExtensionType::get_required_init_account_extensions``)."""

_EXTENSION_HEADER = 4
_PAUSED_OFFSET = 32


def decode_mint(address: Pubkey, view: AccountView | None) -> MintFacts:
    """Reads a mint account of SPL Token or Token-2022.

    Raises:
        MintingRefused: If there is no such mint, or if it has an extension that makes minting
            impossible (paused, frozen by default, confidential minting) or that is unknown here.
    """
    if view is None:
        raise MintingRefused(f"There is no mint at {address}")
    if view.owner not in TOKEN_PROGRAMS:
        raise MintingRefused(f"{address} is no mint: it belongs to {view.owner}")
    data = view.data
    extensions = dict(_extensions(address, view))
    if data[45] != 1:
        raise MintingRefused(f"The mint {address} was never initialised")
    _refuse_unsafe(address, extensions)
    return MintFacts(
        address=address,
        token_program=view.owner,
        decimals=data[44],
        supply=int.from_bytes(data[36:44], "little"),
        mint_authority=_optional_key(data[0:36]),
        freeze_authority=_optional_key(data[46:82]),
        account_size=_account_size(view.owner, extensions),
    )


def require_mintable(
    mint: MintFacts, *, authority: Pubkey, decimals: int, minters: Collection[Pubkey] | None = None
) -> None:
    """Refuses a mint that cannot be minted as configured, or that counts differently.

    Args:
        mint: As it was read.
        authority: Ours.
        decimals: As configured.
        minters: Where a program mints, the accounts that its instruction names: a call of the token
            program needs the mint's authority among them.

    Raises:
        MintingRefused: On another mint authority or other decimals than configured.
    """
    if minters is not None and mint.mint_authority not in minters:
        raise MintingRefused(
            f"The mint {mint.address} is minted by {mint.mint_authority}, which the program's "
            "instruction does not name: it could not mint"
        )
    if minters is None and mint.mint_authority != authority:
        raise MintingRefused(
            f"The mint {mint.address} is minted by {mint.mint_authority}, not by {authority}"
        )
    if mint.decimals != decimals:
        raise MintingRefused(
            f"The mint {mint.address} has {mint.decimals} decimals, the settings say {decimals}"
        )


def _extensions(address: Pubkey, view: AccountView) -> Iterator[tuple[int, bytes]]:
    """(type, value) of each extension; refuses what has not the layout of a mint."""
    data = view.data
    if len(data) == MINT_LEN:
        return
    if (
        view.owner != TOKEN_2022_PROGRAM_ID
        or len(data) <= ACCOUNT_TYPE_OFFSET
        or data[ACCOUNT_TYPE_OFFSET] != ACCOUNT_TYPE_MINT
    ):
        raise MintingRefused(f"{address} is no mint: {len(data)} bytes of another layout")
    at = ACCOUNT_TYPE_OFFSET + 1
    while at + _EXTENSION_HEADER <= len(data):
        kind = int.from_bytes(data[at : at + 2], "little")
        length = int.from_bytes(data[at + 2 : at + 4], "little")
        at += _EXTENSION_HEADER
        if kind == 0:  # unused room at the end
            return
        if at + length > len(data):
            raise MintingRefused(f"The mint {address} has an extension that is cut off")
        yield kind, data[at : at + length]
        at += length


def _refuse_unsafe(address: Pubkey, extensions: Mapping[int, bytes]) -> None:
    if CONFIDENTIAL_MINT_BURN in extensions:
        raise MintingRefused(f"The mint {address} mints confidentially only")
    unknown = sorted(extensions.keys() - ACCOUNT_BYTES.keys())
    if unknown:
        raise MintingRefused(f"The mint {address} has extensions unknown here: {unknown}")
    if extensions.get(PAUSABLE, b"")[_PAUSED_OFFSET : _PAUSED_OFFSET + 1] not in (b"", b"\x00"):
        raise MintingRefused(f"The mint {address} is paused")
    if extensions.get(DEFAULT_ACCOUNT_STATE, b"\x01") != b"\x01":
        raise MintingRefused(f"New token accounts of the mint {address} are frozen")


def _account_size(token_program: Pubkey, extensions: Mapping[int, bytes]) -> int:
    """Bytes of an associated token account; the program makes its owner immutable (Token-2022)."""
    if token_program != TOKEN_2022_PROGRAM_ID:
        return ACCOUNT_LEN
    immutable_owner = _EXTENSION_HEADER
    demanded = sum(_EXTENSION_HEADER + ACCOUNT_BYTES[kind] for kind in DEMANDED & extensions.keys())
    return ACCOUNT_LEN + 1 + immutable_owner + demanded


def _optional_key(data: bytes) -> Pubkey | None:
    """``COption<Pubkey>``: u32 tag, then the key."""
    return Pubkey(data[4:36]) if data[:4] == b"\x01\x00\x00\x00" else None
