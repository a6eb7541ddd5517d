"""Methods about the cluster and its clock."""

from __future__ import annotations

from typing import Any

from gridtoken.embedded.chain.ledger import FAUCET_LAMPORTS
from gridtoken.embedded.chain.rules import SLOTS_PER_EPOCH
from gridtoken.embedded.rpc.error import invalid_params
from gridtoken.embedded.rpc.node import FEATURE_SET, VERSION, Node, in_context
from gridtoken.embedded.rpc.params import Params, parsed_pubkey
from gridtoken.embedded.rpc.registry import method

FEE_BLOCKS = 150
"""Blocks that getRecentPrioritizationFees looks back (Agave MAX_NUM_RECENT_BLOCKS)."""
MAX_FEE_ACCOUNTS = 128
"""Agave MAX_TX_ACCOUNT_LOCKS."""
SAMPLE_SECONDS = 60
MAX_SAMPLES = 720


@method("getHealth")
def get_health(node: Node, _params: Params) -> str:
    """Says that the node is well, or how far it is behind."""
    node.check_health()
    return "ok"


@method("getVersion")
def get_version(_node: Node, _params: Params) -> dict[str, Any]:
    """Says which software is imitated."""
    return {"solana-core": VERSION, "feature-set": FEATURE_SET}


@method("getGenesisHash")
def get_genesis_hash(node: Node, _params: Params) -> str:
    """Says which chain this is."""
    return str(node.ledger.genesis_hash)


@method("getIdentity")
def get_identity(node: Node, _params: Params) -> dict[str, Any]:
    """Says which node this is."""
    return {"identity": str(node.identity)}


@method("getSlot")
def get_slot(node: Node, params: Params) -> int:
    """Says the slot at a commitment."""
    return node.bank(params.config(0)).slot


@method("getSlotLeader")
def get_slot_leader(node: Node, params: Params) -> str:
    """Says who makes the blocks: this node, always."""
    node.bank(params.config(0))
    return str(node.identity)


@method("getSlotLeaders")
def get_slot_leaders(node: Node, params: Params) -> list[str]:
    """Says who makes the blocks of a range of slots."""
    limit = params.integer(1)
    if limit > 5000:
        raise invalid_params("Invalid limit; max 5000")
    return [str(node.identity)] * limit


@method("getBlockHeight")
def get_block_height(node: Node, params: Params) -> int:
    """Says how many blocks there are at a commitment."""
    return node.bank(params.config(0)).height


@method("getTransactionCount")
def get_transaction_count(node: Node, params: Params) -> int:
    """Says how many transactions landed."""
    return node.bank(params.config(0)).block.total_transactions


@method("getEpochInfo")
def get_epoch_info(node: Node, params: Params) -> dict[str, int]:
    """Says slot and height of one bank."""
    bank = node.bank(params.config(0))
    epoch, index = divmod(bank.slot, SLOTS_PER_EPOCH)
    return {
        "absoluteSlot": bank.slot,
        "blockHeight": bank.height,
        "epoch": epoch,
        "slotIndex": index,
        "slotsInEpoch": SLOTS_PER_EPOCH,
        "transactionCount": bank.block.total_transactions,
    }


@method("getEpochSchedule")
def get_epoch_schedule(_node: Node, _params: Params) -> dict[str, Any]:
    """Says how long an epoch is."""
    return {
        "slotsPerEpoch": SLOTS_PER_EPOCH,
        "leaderScheduleSlotOffset": SLOTS_PER_EPOCH,
        "warmup": False,
        "firstNormalEpoch": 0,
        "firstNormalSlot": 0,
    }


@method("getSupply")
def get_supply(node: Node, params: Params) -> dict[str, Any]:
    """Says how many lamports there are."""
    bank = node.bank(params.config(0))
    value = {
        "total": FAUCET_LAMPORTS,
        "circulating": FAUCET_LAMPORTS,
        "nonCirculating": 0,
        "nonCirculatingAccounts": [],
    }
    return in_context(bank, value)


@method("getMinimumBalanceForRentExemption")
def get_minimum_balance(node: Node, params: Params) -> int:
    """Says what an account of a size must hold."""
    params.config(1).commitment()
    return node.ledger.machine.rent(params.integer(0))


@method("getRecentPrioritizationFees")
def get_recent_prioritization_fees(node: Node, params: Params) -> list[dict[str, int]]:
    """Says what recent blocks asked, at least, of those who write some accounts."""
    addresses = params.texts(0) if params.raw(0) is not None else []
    if len(addresses) > MAX_FEE_ACCOUNTS:
        raise invalid_params(f"Too many inputs provided; max {MAX_FEE_ACCOUNTS}")
    keys = [parsed_pubkey(address) for address in addresses]
    tip = node.bank_at("processed")
    answer = []
    for height in range(max(tip.height - FEE_BLOCKS + 1, 0), tip.height + 1):
        block = node.ledger.block(height)
        if block is not None:
            least = node.ledger.bids_at(height).asked_of(keys)
            answer.append({"slot": block.slot, "prioritizationFee": least})
    return answer


@method("getRecentPerformanceSamples")
def get_recent_performance_samples(node: Node, params: Params) -> list[dict[str, int]]:
    """Says how fast the chain is, minute by minute."""
    limit = params.optional_integer(0)
    if limit is not None and limit > MAX_SAMPLES:
        raise invalid_params(f"Invalid limit; max {MAX_SAMPLES}")
    newest = node.bank_at("finalized")
    slots = SAMPLE_SECONDS * 1000 // node.ledger.rules.slot_ms
    samples: list[dict[str, int]] = []
    block = newest.block
    while len(samples) < (MAX_SAMPLES if limit is None else limit) and block.slot >= slots:
        before = node.ledger.block(max(block.height - slots, 0))
        if before is None:
            break
        landed = block.total_transactions - before.total_transactions
        samples.append(
            {
                "slot": block.slot,
                "numTransactions": landed,
                "numNonVoteTransactions": landed,
                "numSlots": slots,
                "samplePeriodSecs": SAMPLE_SECONDS,
            }
        )
        block = before
    return samples


@method("getVoteAccounts")
def get_vote_accounts(_node: Node, _params: Params) -> dict[str, list[Any]]:
    """Says who votes: nobody needs to."""
    return {"current": [], "delinquent": []}


@method("getClusterNodes")
def get_cluster_nodes(node: Node, _params: Params) -> list[dict[str, Any]]:
    """Says which nodes there are: this one."""
    addresses = ("gossip", "tvu", "tpu", "tpuQuic", "tpuForwards", "tpuForwardsQuic", "tpuVote")
    return [
        {
            "pubkey": str(node.identity),
            "version": VERSION,
            "featureSet": FEATURE_SET,
            "shredVersion": 1,
            "rpc": None,
            "pubsub": None,
            "serveRepair": None,
            **dict.fromkeys(addresses),
        }
    ]
