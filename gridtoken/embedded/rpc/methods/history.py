"""Methods about the past: blocks, transactions and their statuses."""

from __future__ import annotations

from typing import Any

from gridtoken.embedded.chain.bank import Bank
from gridtoken.embedded.chain.block import Block, Landed, Status
from gridtoken.embedded.rpc.error import (
    block_not_available,
    block_pruned,
    invalid_params,
    slot_skipped,
)
from gridtoken.embedded.rpc.node import Node, in_context
from gridtoken.embedded.rpc.params import Config, Params, parsed_signature
from gridtoken.embedded.rpc.registry import method
from gridtoken.embedded.rpc.transaction_json import accounts_only, encoding_of, written

MAX_STATUSES = 256
MAX_HISTORY = 1_000
MAX_BLOCKS = 500_000
"""Agave, rpc-client-api request.rs."""


@method("getSignatureStatuses")
def get_signature_statuses(node: Node, params: Params) -> dict[str, Any]:
    """Says what became of some transactions, as the processed bank knows it."""
    texts = params.texts(0)
    if len(texts) > MAX_STATUSES:
        raise invalid_params(f"Too many inputs provided; max {MAX_STATUSES}")
    signatures = [parsed_signature(text) for text in texts]
    search = params.config(1).flag("searchTransactionHistory")
    bank = node.bank_at("processed")
    answers = []
    for signature in signatures:
        status = node.ledger.status(signature)
        if status is None and search:
            status = _kept(node, node.ledger.store.status(signature))
        seen = status is not None and status.height <= bank.height
        answers.append(_status(node, bank, status) if status is not None and seen else None)
    return in_context(bank, answers)


def _kept(node: Node, status: Status | None) -> Status | None:
    """Forgets what a node with a pruned ledger has forgotten: null, not an error."""
    return status if status is not None and status.slot >= node.first_slot else None


def _status(node: Node, bank: Bank, status: Status) -> dict[str, Any]:
    level = _level(node, status.height)
    return {
        "slot": status.slot,
        "confirmations": None if level == "finalized" else bank.height - status.height,
        "err": status.err,
        "status": {"Ok": None} if status.err is None else {"Err": status.err},
        "confirmationStatus": level,
    }


def _level(node: Node, height: int) -> str:
    if height <= node.bank_at("finalized").height:
        return "finalized"
    return "confirmed" if height <= node.bank_at("confirmed").height else "processed"


@method("getSignaturesForAddress")
def get_signatures_for_address(node: Node, params: Params) -> list[dict[str, Any]]:
    """Lists what named an address, newest first."""
    address = params.pubkey(0)
    config = params.config(1)
    limit = config.integer("limit")
    limit = MAX_HISTORY if limit is None else limit
    if not 0 < limit <= MAX_HISTORY:
        raise invalid_params(f"Invalid limit; max {MAX_HISTORY}")
    bank = node.bank_at(config.at_least_confirmed(), config)
    rows = node.ledger.store.history(
        address,
        before=config.signature("before"),
        until=config.signature("until"),
        slots=(node.first_slot, bank.slot),
        limit=limit,
    )
    return [
        {
            "signature": row.signature,
            "slot": row.slot,
            "transactionIndex": row.index,
            "err": row.err,
            "memo": row.memo,
            "blockTime": row.time,
            "confirmationStatus": _level(node, row.height),
        }
        for row in rows
    ]


@method("getTransaction")
def get_transaction(node: Node, params: Params) -> dict[str, Any] | None:
    """Shows a confirmed transaction."""
    signature = params.signature(0)
    config, encoding, newest = _transaction_options(params)
    bank = node.bank_at(config.at_least_confirmed())
    landed = node.ledger.store.transaction(signature)
    if landed is None or landed.height > bank.height or landed.slot < node.first_slot:
        return None
    return {
        "slot": landed.slot,
        "blockTime": landed.time,
        "transactionIndex": landed.index,
        **written(landed, encoding, newest),
    }


def _transaction_options(params: Params) -> tuple[Config, str, int | None]:
    # The second parameter may be the bare name of an encoding (Agave RpcEncodingConfigWrapper).
    raw = params.raw(1)
    config = Config({"encoding": raw}) if isinstance(raw, str) else params.config(1)
    encoding, newest = encoding_of(config)
    return config, encoding, newest


@method("getBlock")
def get_block(node: Node, params: Params) -> dict[str, Any]:
    """Shows a confirmed block."""
    slot = params.integer(0)
    config, encoding, newest = _transaction_options(params)
    block = _confirmed_block(node, slot, config)
    details = config.choice(
        "transactionDetails", ("full", "accounts", "signatures", "none"), "full"
    )
    answer: dict[str, Any] = {
        "blockHeight": block.height,
        "blockTime": block.time,
        "blockhash": str(block.blockhash),
        "parentSlot": block.parent_slot,
        "previousBlockhash": str(block.parent_hash),
    }
    if config.flag("rewards", default=True):
        answer["rewards"] = []
    if details != "none":
        landed = node.ledger.store.transactions_of(block.height)
        answer |= _block_contents(landed, details, encoding, newest)
    return answer


def _block_contents(
    landed: list[Landed], details: str, encoding: str, newest: int | None
) -> dict[str, Any]:
    if details == "signatures":
        return {"signatures": [str(one.signature) for one in landed]}
    if details == "accounts":
        return {"transactions": [accounts_only(one, newest) for one in landed]}
    return {"transactions": [written(one, encoding, newest) for one in landed]}


def _confirmed_block(node: Node, slot: int, config: Config) -> Block:
    bank = node.bank_at(config.at_least_confirmed())
    if slot > bank.slot:
        raise block_not_available(slot)
    if slot < node.first_slot:
        raise block_pruned(slot, node.first_slot)
    block = node.ledger.store.block_at(slot)
    if block is None:
        raise slot_skipped(slot)
    return block


@method("getBlockTime")
def get_block_time(node: Node, params: Params) -> int:
    """Says when a block was made."""
    return _confirmed_block(node, params.integer(0), Config({"commitment": "confirmed"})).time


@method("getBlocks")
def get_blocks(node: Node, params: Params) -> list[int]:
    """Lists the slots of a range that have a block."""
    first = params.integer(0)
    second = params.raw(1)
    place = 1 if isinstance(second, dict) else 2
    bank = node.bank_at(params.config(place).at_least_confirmed())
    last = bank.slot if place == 1 or second is None else min(params.integer(1), bank.slot)
    if last - first > MAX_BLOCKS:
        raise invalid_params(f"Slot range too large; max {MAX_BLOCKS}")
    return node.ledger.store.slots_between(max(first, node.first_slot), last, MAX_BLOCKS)


@method("getBlocksWithLimit")
def get_blocks_with_limit(node: Node, params: Params) -> list[int]:
    """Lists the next slots that have a block."""
    first, limit = params.integer(0), params.integer(1)
    if limit > MAX_BLOCKS:
        raise invalid_params(f"Limit too large; max {MAX_BLOCKS}")
    bank = node.bank_at(params.config(2).at_least_confirmed())
    return node.ledger.store.slots_between(max(first, node.first_slot), bank.slot, limit)


@method("getFirstAvailableBlock")
def get_first_available_block(node: Node, _params: Params) -> int:
    """Says from where on the history is kept: all of it, unless a fault prunes it."""
    return node.first_slot


@method("minimumLedgerSlot")
def minimum_ledger_slot(node: Node, _params: Params) -> int:
    """Says from where on the ledger is kept."""
    return node.first_slot
