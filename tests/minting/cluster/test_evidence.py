"""Evidence for a proof of death: the order of the questions, and what does not count."""

from __future__ import annotations

import asyncio

import pytest
from solders.pubkey import Pubkey

from minting.cluster.client import Node
from minting.cluster.evidence import collect_death_evidence
from minting.cluster.history import walk_history
from minting.engine.types import Commitment, EpochInfo, Watched
from tests.minting.cluster.fake_node import (
    GENESIS,
    Drop,
    FakeNode,
    Http,
    Refusal,
    Stall,
    status,
    value,
)

AUTHORITY = Pubkey(bytes([3] * 32))
F, H = 1_000, 800


def watched(signature="ours", *, last_valid=H - 1, slot=700, genesis=GENESIS):
    return Watched(signature, genesis, blockhash_slot=slot, last_valid_block_height=last_valid)


def epoch(slot=F, height=H):
    return {"absoluteSlot": slot, "blockHeight": height}


def nulls(signatures, config):
    assert config == {"searchTransactionHistory": True}
    return value([None] * len(signatures), slot=F + 64)


def row(signature, slot):
    return {"signature": signature, "slot": slot, "err": None, "memo": None}


def dead_node(**answers):
    """A node on which everything is as dead as can be."""
    return FakeNode(
        **{
            "getEpochInfo": epoch(),
            "getSlot": F + 64,
            "getSignatureStatuses": nulls,
            "getFirstAvailableBlock": 0,
            "getSignaturesForAddress": [row("newer", 900), row("known", 600)],
            **answers,
        }
    )


def collect(fake, *items, known=("known",), **options):
    slept: list[float] = []

    async def sleep(seconds):
        slept.append(seconds)

    async def run():
        async with fake:
            return await collect_death_evidence(
                fake.url,
                items or (watched(),),
                AUTHORITY,
                is_known=set(known).__contains__,
                sleep=sleep,
                **{"request_timeout": 10.0, **options},
            )

    evidence = asyncio.run(run())
    fake.slept = slept
    return evidence


def test_the_height_is_asked_before_any_status():
    """A transaction that lands between a status and a later height would look dead."""
    fake = dead_node()
    evidence = collect(fake)["ours"]
    assert fake.methods == [
        "getGenesisHash",
        "getEpochInfo",
        "getSlot",
        "getSignatureStatuses",
        "getSignatureStatuses",
        "getSignatureStatuses",
    ]
    assert fake.params("getEpochInfo") == [[{"commitment": "finalized"}]]
    assert fake.params("getSlot") == [[{"commitment": "processed"}]]
    assert fake.slept == [2.0, 2.0]
    assert evidence.node == fake.name
    assert evidence.genesis_hash == GENESIS
    assert evidence.finalized == EpochInfo(F, H)
    assert [report.statuses for report in evidence.reports] == [(None,)] * 3
    assert [report.context_slot for report in evidence.reports] == [F + 64] * 3
    assert evidence.first_available_block is None
    assert evidence.second_witness is None


def test_every_round_has_connections_of_its_own():
    fake = dead_node()
    collect(fake)
    rounds = [item.connection for item in fake.heard if item.method == "getSignatureStatuses"]
    assert len(set(rounds)) == 3


def test_statuses_wait_until_the_node_is_64_slots_ahead():
    fake = dead_node(getSlot=[F + 32, Drop(), Drop(), F + 63, F + 64])
    collect(fake, pause=1.0)
    assert fake.slept == [0.5, 0.5, 0.5, 1.0, 1.0]


def test_a_node_that_never_gets_ahead_is_asked_in_the_end():
    """Its nulls will not do, but a status that is not null counts from any slot."""
    fake = dead_node(getSlot=F + 10, getSignatureStatuses=value([status(slot=990)], slot=F + 10))
    evidence = collect(fake, patience=2.0)["ours"]
    assert fake.slept == [0.5] * 4 + [2.0] * 2
    assert [report.context_slot for report in evidence.reports] == [F + 10] * 3
    assert evidence.reports[0].statuses[0].commitment is Commitment.CONFIRMED


@pytest.mark.parametrize("last_valid", [H, H + 1])
def test_before_the_height_is_past_nothing_more_is_asked(last_valid):
    """Strictly past: a transaction may land at its last valid height + 1."""
    fake = dead_node()
    evidence = collect(fake, watched(last_valid=last_valid))["ours"]
    assert fake.methods == ["getGenesisHash", "getEpochInfo"]
    assert (evidence.genesis_hash, evidence.finalized) == (GENESIS, EpochInfo(F, H))
    assert evidence.reports == ()


def test_a_transaction_of_another_cluster_is_not_asked_for_here():
    fake = dead_node()
    evidence = collect(fake, watched("theirs", genesis="Elsewhere"), watched("ours"))
    assert [params[0] for params in fake.params("getSignatureStatuses")] == [["ours"]] * 3
    assert evidence["theirs"].reports == ()
    assert evidence["theirs"].genesis_hash == GENESIS


@pytest.mark.parametrize(
    "trouble", [Drop(), Stall(), Refusal(-32005), Http(429), {"absoluteSlot": 1}]
)
def test_without_a_finalized_height_there_is_no_evidence(trouble):
    fake = dead_node(getEpochInfo=trouble)
    evidence = collect(fake, request_timeout=1.0)["ours"]
    assert evidence.finalized is None
    assert evidence.reports == ()
    assert "getSignatureStatuses" not in fake.methods


def test_without_a_genesis_hash_there_is_no_evidence():
    evidence = collect(dead_node(getGenesisHash=Refusal(-32005)))["ours"]
    assert evidence.genesis_hash is None
    assert evidence.reports == ()


@pytest.mark.parametrize(
    "trouble",
    [
        Stall(),
        Refusal(-32603, "storage"),
        Http(429),
        Http(502),
        value([], slot=F + 64),
        value(None),
    ],
    ids=["stall", "error", "429", "502", "short", "null"],
)
def test_a_round_that_failed_is_left_out(trouble):
    """An error while looking a signature up is not 'not on chain'."""
    answers = [nulls, trouble, nulls]
    evidence = collect(dead_node(getSignatureStatuses=answers), request_timeout=1.0)["ours"]
    assert len(evidence.reports) == 2


def test_each_transaction_gets_its_own_part_of_the_answers():
    def answer(signatures, config):
        rows = [status(slot=int(name)) if int(name) % 2 else None for name in signatures]
        return value(rows, slot=F + 70)

    items = [watched(str(number)) for number in range(600)]
    fake = dead_node(getSignatureStatuses=answer)
    evidence = collect(fake, *items)
    assert fake.methods.count("getSignatureStatuses") == 9
    for number in (0, 1, 255, 256, 257, 598, 599):
        found = [report.statuses for report in evidence[str(number)].reports]
        assert [entry and entry.slot for (entry,) in found] == [number if number % 2 else None] * 3


def late(signature="ours", slot=700, by=101):
    return watched(signature, last_valid=H - by, slot=slot)


def test_up_to_a_hundred_heights_later_no_second_witness_is_needed():
    fake = dead_node()
    collect(fake, late(by=100))
    assert "getSignaturesForAddress" not in fake.methods
    assert "getFirstAvailableBlock" not in fake.methods


def test_a_node_that_slept_before_it_answered_needs_a_second_witness():
    """The height was in time; by the third answer the status cache has moved on a whole life."""

    def answer(slot):
        return lambda signatures, _: value([None] * len(signatures), slot=slot)

    rounds = [answer(F + 64), answer(F + 70), answer(F + 500)]
    evidence = collect(dead_node(getSignatureStatuses=rounds))["ours"]
    assert evidence.second_witness is True


def test_later_the_history_is_the_second_witness():
    fake = dead_node(getFirstAvailableBlock=5)
    evidence = collect(fake, late())["ours"]
    assert evidence.first_available_block == 5
    assert evidence.second_witness is True
    assert fake.params("getSignaturesForAddress") == [
        [str(AUTHORITY), {"commitment": "finalized", "limit": 1_000, "minContextSlot": F}]
    ]


@pytest.mark.parametrize(
    ("rows", "testimony"),
    [
        ([row("ours", 710), row("known", 600)], False),
        ([row("ours", 710)], False),
        ([row("newer", 900), row("known", 699)], True),
        ([row("newer", 900), row("known", 700)], None),
        ([row("newer", 900), row("unknown", 600)], None),
        ([], None),
        (Refusal(-32016, "Minimum context slot has not been reached"), None),
        ([{"signature": "known", "slot": 600}], None),
    ],
    ids=["found", "found, cut", "lacks it", "not past S0", "no known", "empty", "lags", "no err"],
)
def test_what_the_history_testifies(rows, testimony):
    def answer(address, config):
        return rows if "before" not in config else []

    evidence = collect(dead_node(getSignaturesForAddress=answer), late())["ours"]
    assert evidence.second_witness is testimony


def test_one_walk_serves_all_and_goes_past_the_oldest():
    pages = {
        None: [row("d", 950), row("c", 760)],
        "c": [row("b", 640), row("second", 550)],
        "second": [row("a", 400)],
    }
    fake = dead_node(getSignaturesForAddress=lambda _, config: pages[config.get("before")])
    items = [late("first", slot=700), late("second", slot=500), watched("young")]
    evidence = collect(fake, *items, known=("a", "b"))
    assert evidence["first"].second_witness is True
    assert evidence["second"].second_witness is False
    assert evidence["young"].second_witness is None
    assert evidence["young"].first_available_block is None
    assert fake.methods.count("getSignaturesForAddress") == 3


def test_a_walk_cut_short_still_serves_those_it_covers():
    pages = {None: [row("b", 640)], "b": []}
    fake = dead_node(getSignaturesForAddress=lambda _, config: pages[config.get("before")])
    evidence = collect(fake, late("first", slot=700), late("second", slot=500), known=("b",))
    assert evidence["first"].second_witness is True
    assert evidence["second"].second_witness is None


def walk(answer, **options):
    async def run():
        async with FakeNode(getSignaturesForAddress=answer) as fake, Node(fake.url) as node:
            return await walk_history(node, AUTHORITY, **options), fake

    return asyncio.run(run())


def test_a_walk_ends_complete_at_a_known_signature():
    seen, _ = walk([row("b", 9), row("a", 8), row("z", 7)], is_known={"a", "z"}.__contains__)
    assert [entry.signature for entry in seen.entries] == ["b", "a"]
    assert seen.complete


def test_a_walk_that_turns_in_circles_is_incomplete():
    seen, fake = walk([row("b", 9), row("a", 8)], is_known=set().__contains__)
    assert not seen.complete
    assert len(fake.heard) == 2


def test_a_walk_is_bounded():
    def answer(_, config):
        before = int(config.get("before", 1_000))
        return [row(str(before - 1), before - 1), row(str(before - 2), before - 2)]

    seen, fake = walk(answer, is_known=set().__contains__, page_size=2, max_pages=3)
    assert not seen.complete
    assert len(fake.heard) == 3
    assert [params[1]["limit"] for params in fake.params("getSignaturesForAddress")] == [2] * 3
