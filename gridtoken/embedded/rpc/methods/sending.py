"""Methods that carry a transaction: date, price, simulate and send it."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

from solders.compute_budget import set_compute_unit_limit
from solders.message import Message, from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from gridtoken.embedded.chain import base58
from gridtoken.embedded.chain.bank import Bank
from gridtoken.embedded.chain.budget import budget_of
from gridtoken.embedded.chain.errors import TYPE_NAME, Malformed, Refusal, sentence
from gridtoken.embedded.chain.machine import Outcome
from gridtoken.embedded.chain.record import inner_instructions, record_of, returned_data
from gridtoken.embedded.chain.rules import MAX_PROCESSING_AGE
from gridtoken.embedded.chain.transaction import (
    PACKET_SIZE,
    V1_PREFIX,
    V1_SIZE,
    DecodedTransaction,
    decode,
    sanitize,
)
from gridtoken.embedded.rpc.account_json import AccountShape
from gridtoken.embedded.rpc.error import (
    invalid_params,
    preflight_failed,
    signature_failed,
)
from gridtoken.embedded.rpc.node import Node, in_context
from gridtoken.embedded.rpc.params import Config, Params, commitment_level, parsed_pubkey
from gridtoken.embedded.rpc.registry import method
from gridtoken.embedded.rpc.transaction_json import accounts_of, inner, returned, tokens

MAX_BASE58_LETTERS = 1_683
MAX_BASE64_LETTERS = 5_464
"""Text of 1,232 and of 4,096 bytes (Agave, rpc.rs); base58 was not extended for v1."""


@method("getLatestBlockhash")
def get_latest_blockhash(node: Node, params: Params) -> dict[str, Any]:
    """Gives a date for new transactions."""
    bank = node.bank(params.config(0))
    return in_context(bank, _date(node, bank))


def _date(node: Node, bank: Bank) -> dict[str, Any]:
    block = node.ledger.block(max(bank.height - node.fate.stale_blocks, 0)) or bank.block
    return {
        "blockhash": str(block.blockhash),
        "lastValidBlockHeight": block.height + MAX_PROCESSING_AGE,
    }


@method("isBlockhashValid")
def is_blockhash_valid(node: Node, params: Params) -> dict[str, Any]:
    """Says whether a blockhash is young enough."""
    blockhash = params.blockhash(0)
    bank = node.bank(params.config(1))
    return in_context(bank, bank.last_valid_height(blockhash) is not None)


@method("getFeeForMessage")
def get_fee_for_message(node: Node, params: Params) -> dict[str, Any]:
    """Says what a message will cost; null if its blockhash is too old."""
    raw = _bytes_of(params.text(0), "base64")
    config = params.config(1)
    try:
        message = from_bytes_versioned(raw)
        signatures = [Signature.default()] * message.header.num_required_signatures
        decoded = decode(bytes(VersionedTransaction.populate(message, signatures)))
        sanitize(decoded)
        fee = budget_of(decoded).fee
    except (ValueError, Malformed) as error:
        raise invalid_params(f"failed to deserialize {TYPE_NAME}: {error}") from error
    except Refusal as refusal:
        raise invalid_params(f"invalid transaction message: {sentence(refusal.err)}") from refusal
    bank = node.bank(config)
    known = bank.last_valid_height(decoded.blockhash) is not None
    return in_context(bank, fee if known else None)


@method("simulateTransaction")
def simulate_transaction(node: Node, params: Params) -> dict[str, Any]:
    """Says what a transaction would do, without doing it."""
    config = params.config(1)
    decoded = _sent(node, params.text(0), config)
    bank = node.bank(config)
    verify = config.flag("sigVerify")
    replacement = None
    if config.flag("replaceRecentBlockhash"):
        if verify:
            raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
        decoded = decoded.with_blockhash(bank.block.blockhash)
        replacement = _date(node, bank)
    _sanitized(decoded)
    if verify and not decoded.signatures_verify():
        raise signature_failed()
    wanted = _wanted_accounts(config, decoded)
    try:
        outcome = node.ledger.simulate(decoded, bank, dated=replacement is None)
    except Refusal as refusal:
        result = _refused(refusal)
        if wanted:
            result["accounts"] = [None] * len(wanted[1])
    else:
        result = _result(node, decoded, outcome, parse_inner=config.flag("innerInstructions"))
        if wanted:
            result["accounts"] = _accounts_after(bank, outcome, *wanted)
    result["replacementBlockhash"] = replacement
    return in_context(bank, result)


@method("sendTransaction")
def send_transaction(node: Node, params: Params) -> str:
    """Hands a transaction to the leaders and answers its signature at once."""
    config = params.config(1)
    decoded = _sent(node, params.text(0), config)
    skip = config.flag("skipPreflight")
    level = commitment_level(config.raw("preflightCommitment"))
    bank = node.bank_at("processed" if skip else level, config)
    _sanitized(decoded)
    # Agave checks signatures with the preflight only and lets a leader drop the others; saying so
    # at once costs nobody anything and shows the mistake.
    if not decoded.signatures_verify():
        raise signature_failed()
    if not skip:
        _preflight(node, decoded, bank)
    _hand_over(node, decoded)
    return str(decoded.signature)


@method("requestAirdrop")
def request_airdrop(node: Node, params: Params) -> str:
    """Has the faucet send lamports, in a transaction like any other."""
    to = params.pubkey(0)
    lamports = params.integer(1)
    bank = node.bank(params.config(2), "processed")
    decoded = airdrop(node, bank, to, lamports)
    _hand_over(node, decoded)
    return str(decoded.signature)


def _hand_over(node: Node, decoded: DecodedTransaction) -> None:
    if not node.fate.dropped:
        node.ledger.send(decoded, slots_late=node.fate.slots_late)


def airdrop(node: Node, bank: Bank, to: Pubkey, lamports: int) -> DecodedTransaction:
    """Returns the faucet's transaction."""
    faucet = node.ledger.faucet
    move = transfer(TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=to, lamports=lamports))
    # Two gifts of one block would be the same transaction: the limit tells them apart.
    units = set_compute_unit_limit(1_000 + node.next_number())
    message = Message.new_with_blockhash([units, move], faucet.pubkey(), bank.block.blockhash)
    return decode(bytes(VersionedTransaction(message, [faucet])))


def _sent(node: Node, text: str, config: Config) -> DecodedTransaction:
    encoding = config.choice("encoding", ("base58", "base64"), "base58")
    raw = _bytes_of(text, encoding)
    if raw[:1] == bytes([V1_PREFIX]) and not node.knows_v1:
        # An older node takes the prefix for a number of signatures.
        raise invalid_params(f"failed to deserialize {TYPE_NAME}: io error: unexpected end of file")
    try:
        return decode(raw)
    except Malformed as malformed:
        raise invalid_params(str(malformed)) from malformed


def _bytes_of(text: str, encoding: str) -> bytes:
    longest = MAX_BASE58_LETTERS if encoding == "base58" else MAX_BASE64_LETTERS
    raw = PACKET_SIZE if encoding == "base58" else V1_SIZE
    if len(text) > longest:
        raise invalid_params(
            f"{encoding} encoded {TYPE_NAME} too large: {len(text)} bytes"
            f" (max: encoded/raw {longest}/{raw})"
        )
    try:
        return base58.decode(text) if encoding == "base58" else b64decode(text, validate=True)
    except (ValueError, Base64Error) as error:
        raise invalid_params(f"invalid {encoding} encoding: {error}") from error


def _sanitized(decoded: DecodedTransaction) -> None:
    try:
        sanitize(decoded)
    except Refusal as refusal:
        raise invalid_params(f"invalid transaction: {sentence(refusal.err)}") from refusal


def _preflight(node: Node, decoded: DecodedTransaction, bank: Bank) -> None:
    node.check_health()
    try:
        outcome = node.ledger.simulate(decoded, bank)
    except Refusal as refusal:
        raise preflight_failed(sentence(refusal.err), _refused(refusal)) from refusal
    if outcome.err is not None:
        result = _result(node, decoded, outcome, parse_inner=False)
        raise preflight_failed(sentence(outcome.err), result)


def _result(
    node: Node, decoded: DecodedTransaction, outcome: Outcome, *, parse_inner: bool
) -> dict[str, Any]:
    record = record_of(outcome, node.ledger.machine.get, 0)
    back = returned_data(outcome)
    calls = None
    if parse_inner:
        calls = inner(inner_instructions(outcome), accounts_of(decoded, record), parse=True)
    writable, readonly = record["loaded"]
    return {
        "err": outcome.err,
        "logs": list(outcome.logs),
        "accounts": None,
        "unitsConsumed": outcome.units,
        "loadedAccountsDataSize": outcome.loaded_bytes,
        "returnData": returned(back) if back else None,
        "innerInstructions": calls,
        "fee": outcome.fee,
        "preBalances": record["pre"],
        "postBalances": record["post"],
        "preTokenBalances": tokens(record["pre_tokens"]),
        "postTokenBalances": tokens(record["post_tokens"]),
        "loadedAddresses": {"writable": writable, "readonly": readonly},
    }


def _refused(refusal: Refusal) -> dict[str, Any]:
    unknown = ("accounts", "returnData", "innerInstructions", "fee", "preBalances")
    more = ("postBalances", "preTokenBalances", "postTokenBalances", "loadedAddresses")
    return {
        "err": refusal.err,
        "logs": [],
        "unitsConsumed": 0,
        "loadedAccountsDataSize": 0,
        **dict.fromkeys((*unknown, *more)),
    }


def _wanted_accounts(
    config: Config, decoded: DecodedTransaction
) -> tuple[AccountShape, list[Pubkey]] | None:
    asked = config.raw("accounts")
    if asked is None:
        return None
    options = Params([asked]).config(0)
    addresses = Params([options.raw("addresses")]).texts(0)
    shape = AccountShape.asked(options, "base64")
    if shape.encoding in ("binary", "base58"):
        raise invalid_params("base58 encoding not supported")
    if len(addresses) > len(decoded.keys):
        raise invalid_params(f"Too many accounts provided; max {len(decoded.keys)}")
    return shape, [parsed_pubkey(address) for address in addresses]


def _accounts_after(
    bank: Bank, outcome: Outcome, shape: AccountShape, keys: list[Pubkey]
) -> list[Any]:
    if outcome.err is not None:
        return [None] * len(keys)
    after = dict(zip(outcome.resolved.keys, outcome.after, strict=True))
    found = [after[key] if key in after else bank.account(key) for key in keys]
    return [
        shape.write(account, lambda key: after.get(key) or bank.account(key)) if account else None
        for account in found
    ]
