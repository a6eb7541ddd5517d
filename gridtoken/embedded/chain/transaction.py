"""A transaction as it came over the wire, decoded once and checked as a node checks it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from solders.hash import Hash
from solders.instruction import CompiledInstruction
from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from gridtoken.embedded.chain.errors import TYPE_NAME, Malformed, Refusal

Version = Literal["legacy", 0, 1]

PACKET_SIZE = 1232
"""Largest legacy or v0 transaction: one IPv6 packet less headers (Agave PACKET_DATA_SIZE)."""
V1_SIZE = 4096
"""Largest v1 transaction (SIMD-0385)."""
V1_PREFIX = 0x81
"""First byte of a v1 transaction, which starts with its message (SIMD-0385)."""
MAX_INSTRUCTIONS = 64
"""Top-level instructions of one transaction (SIMD-0160)."""
MAX_ACCOUNTS = 64
"""Accounts one transaction may lock (SIMD-0385; Agave get_transaction_account_lock_limit)."""
MEMO_PROGRAMS = frozenset(
    {
        Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"),
        Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
    }
)


@dataclass(frozen=True, slots=True)
class DecodedTransaction:
    """One transaction's bytes and what they say, before any account is looked at."""

    raw: bytes
    tx: VersionedTransaction
    version: Version
    signature: Signature
    blockhash: Hash
    keys: tuple[Pubkey, ...]
    """The accounts named in the message itself; lookup tables may add more."""
    instructions: tuple[CompiledInstruction, ...]
    required_signatures: int
    readonly_signed: int
    readonly_unsigned: int

    @property
    def message(self) -> Message | MessageV0 | MessageV1:
        """The signed part."""
        return self.tx.message

    @property
    def payer(self) -> Pubkey:
        """The account that pays the fee: the first one."""
        return self.keys[0]

    def is_writable(self, index: int) -> bool:
        """Tells whether the header lets the transaction write a static account."""
        if index < self.required_signatures:
            return index < self.required_signatures - self.readonly_signed
        return index < len(self.keys) - self.readonly_unsigned

    def signatures_verify(self) -> bool:
        """Tells whether every required signature is there and right."""
        return all(self.tx.verify_with_results())

    def memo(self) -> str | None:
        """Returns the memos as getSignaturesForAddress shows them: "[length] text; ..."."""
        texts = [
            f"[{len(instruction.data)}] {instruction.data.decode(errors='replace')}"
            for instruction in self.instructions
            if self.keys[instruction.program_id_index] in MEMO_PROGRAMS
        ]
        return "; ".join(texts) or None

    def with_blockhash(self, blockhash: Hash) -> DecodedTransaction:
        """Returns the same transaction dated anew; its signatures no longer fit."""
        message = _redated(self.message, blockhash)
        return _decoded(VersionedTransaction.populate(message, self.tx.signatures))


def decode(raw: bytes) -> DecodedTransaction:
    """Decodes wire bytes.

    Raises:
        Malformed: With the sentence of a node, if the bytes are no transaction or too many.
    """
    limit = V1_SIZE if raw[:1] == bytes([V1_PREFIX]) else PACKET_SIZE
    if len(raw) > limit:
        raise Malformed(f"decoded {TYPE_NAME} too large: {len(raw)} bytes (max: {limit} bytes)")
    try:
        return _decoded(VersionedTransaction.from_bytes(raw))
    except ValueError as error:
        raise Malformed(f"failed to deserialize {TYPE_NAME}: {error}") from error


def sanitize(decoded: DecodedTransaction) -> None:
    """Refuses what no node takes further, whatever the state of the chain.

    Raises:
        Refusal: With the transaction error of the first rule that is broken.
    """
    try:
        decoded.tx.sanitize()
        if isinstance(decoded.message, MessageV1):
            decoded.message.validate()
    except Exception as error:
        raise Refusal("SanitizeFailure") from error
    if len(decoded.instructions) > MAX_INSTRUCTIONS:
        raise Refusal("SanitizeFailure")
    check_locks(decoded.keys)


def check_locks(keys: Iterable[Pubkey]) -> None:
    """Refuses an account named twice, and more accounts than may be locked.

    Raises:
        Refusal: If either is so.
    """
    named = list(keys)
    if len(named) > MAX_ACCOUNTS:
        raise Refusal("TooManyAccountLocks")
    if len(set(named)) != len(named):
        raise Refusal("AccountLoadedTwice")


def _decoded(tx: VersionedTransaction) -> DecodedTransaction:
    message = tx.message
    header = message.header
    if not tx.signatures:
        raise Malformed("invalid transaction: Transaction failed to sanitize accounts offsets")
    version: Version = "legacy"
    if isinstance(message, MessageV0):
        version = 0
    elif isinstance(message, MessageV1):
        version = 1
    return DecodedTransaction(
        raw=bytes(tx),
        tx=tx,
        version=version,
        signature=tx.signatures[0],
        blockhash=message.recent_blockhash,
        keys=tuple(message.account_keys),
        instructions=tuple(message.instructions),
        required_signatures=header.num_required_signatures,
        readonly_signed=header.num_readonly_signed_accounts,
        readonly_unsigned=header.num_readonly_unsigned_accounts,
    )


def _redated(
    message: Message | MessageV0 | MessageV1, blockhash: Hash
) -> Message | MessageV0 | MessageV1:
    if isinstance(message, MessageV1):
        return MessageV1(
            message.header, message.config, blockhash, message.account_keys, message.instructions
        )
    if isinstance(message, MessageV0):
        return MessageV0(
            message.header,
            message.account_keys,
            blockhash,
            message.instructions,
            message.address_table_lookups,
        )
    header = message.header
    return Message.new_with_compiled_instructions(
        header.num_required_signatures,
        header.num_readonly_signed_accounts,
        header.num_readonly_unsigned_accounts,
        message.account_keys,
        blockhash,
        message.instructions,
    )
