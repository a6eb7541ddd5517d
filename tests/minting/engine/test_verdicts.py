"""I4: only proof of death frees readings; every step of it missing or short proves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minting.engine.states import ResultStatus, TransactionStatus
from minting.engine.types import (
    Commitment,
    DeathEvidence,
    EpochInfo,
    SignatureStatus,
    StatusReport,
    Verdict,
    Watched,
)
from minting.engine.verdicts import is_fresh, is_past_life, judge, judge_status
from tests.minting.engine.cast import BLOCKHASH

LVBH, S0, F = 5_000, 9_000, 9_400
WATCHED = Watched("signature", "genesis", blockhash_slot=S0, last_valid_block_height=LVBH)
NULL = StatusReport(context_slot=F + 64, statuses=(None,))
PROOF = DeathEvidence(
    node="node",
    genesis_hash="genesis",
    finalized=EpochInfo(slot=F, block_height=LVBH + 1),
    reports=(NULL, NULL, NULL),
)
LATE = replace(PROOF, finalized=EpochInfo(slot=F, block_height=LVBH + 101))
LATE_PROOF = replace(LATE, first_available_block=S0, second_witness=True)
# A in time, and then a node that slept: its status cache has moved on a whole life by the third.
SLOW = replace(PROOF, reports=(NULL, NULL, StatusReport(F + 180, (None,))))
SLOW_PROOF = replace(SLOW, first_available_block=S0, second_witness=True)


def seen(commitment: Commitment, err: object | None = None) -> StatusReport:
    return StatusReport(F + 64, (SignatureStatus(F, commitment, err),))


def test_i4_a_whole_proof_is_death():
    judgement = judge(WATCHED, PROOF)
    assert judgement.verdict is Verdict.DEAD
    assert judgement.why == "1 blocks past its life, 3 null answers"


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (replace(PROOF, genesis_hash="another"), Verdict.UNCERTAIN),
        (replace(PROOF, genesis_hash=None), Verdict.UNCERTAIN),
        (replace(PROOF, finalized=None), Verdict.UNCERTAIN),
        (replace(PROOF, finalized=EpochInfo(F, LVBH)), Verdict.LIVE),
        (replace(PROOF, finalized=EpochInfo(F, LVBH - 100)), Verdict.LIVE),
        (replace(PROOF, reports=()), Verdict.UNCERTAIN),
        (replace(PROOF, reports=(NULL, NULL)), Verdict.UNCERTAIN),
        (replace(PROOF, reports=(NULL, NULL, replace(NULL, statuses=()))), Verdict.UNCERTAIN),
        (replace(PROOF, reports=(NULL, NULL, StatusReport(F + 63, (None,)))), Verdict.UNCERTAIN),
        (
            replace(PROOF, reports=(NULL, NULL, StatusReport(F + 64, (None, None)))),
            Verdict.UNCERTAIN,
        ),
        (
            replace(PROOF, reports=(NULL, NULL, NULL, seen(Commitment.CONFIRMED))),
            Verdict.LANDED,
        ),
        (replace(PROOF, reports=(seen(Commitment.FINALIZED, {"x": 1}), NULL)), Verdict.LANDED),
        (replace(PROOF, reports=(NULL, NULL, seen(Commitment.PROCESSED), NULL)), Verdict.LIVE),
        (replace(PROOF, finalized=None, reports=(seen(Commitment.FINALIZED),)), Verdict.LANDED),
        (LATE, Verdict.UNCERTAIN),
        (replace(LATE_PROOF, first_available_block=None), Verdict.UNCERTAIN),
        (replace(LATE_PROOF, first_available_block=S0 + 1), Verdict.UNCERTAIN),
        (replace(LATE_PROOF, second_witness=None), Verdict.UNCERTAIN),
        (replace(LATE_PROOF, second_witness=False), Verdict.UNCERTAIN),
        (replace(LATE_PROOF, reports=(NULL,)), Verdict.UNCERTAIN),
        (LATE_PROOF, Verdict.DEAD),
        (replace(PROOF, finalized=EpochInfo(F, LVBH + 100)), Verdict.DEAD),
        (SLOW, Verdict.UNCERTAIN),
        (replace(SLOW_PROOF, first_available_block=S0 + 1), Verdict.UNCERTAIN),
        (replace(SLOW_PROOF, second_witness=False), Verdict.UNCERTAIN),
        (SLOW_PROOF, Verdict.DEAD),
        (
            replace(PROOF, reports=(NULL, NULL, StatusReport(F + 179, (None,)))),
            Verdict.DEAD,
        ),
    ],
)
def test_i4_anything_less_is_not_death(evidence, verdict):
    judgement = judge(WATCHED, evidence)
    assert judgement.verdict is verdict
    assert judgement.why


statuses = st.one_of(
    st.none(),
    st.builds(SignatureStatus, st.just(F), st.sampled_from(Commitment), st.sampled_from([None, 1])),
)
reports = st.lists(
    st.builds(
        StatusReport,
        st.one_of(st.integers(F + 60, F + 70), st.integers(F + 175, F + 182)),
        st.lists(statuses, max_size=2).map(tuple),
    ),
    max_size=5,
).map(tuple)
evidences = st.builds(
    DeathEvidence,
    node=st.just("node"),
    genesis_hash=st.sampled_from([None, "genesis", "another"]),
    finalized=st.one_of(
        st.none(), st.builds(EpochInfo, st.just(F), st.integers(LVBH - 2, LVBH + 103))
    ),
    reports=reports,
    first_available_block=st.sampled_from([None, 0, S0, S0 + 1]),
    second_witness=st.sampled_from([None, True, False]),
)


@given(evidence=evidences)
def test_i4_death_implies_every_condition(evidence):
    if judge(WATCHED, evidence).verdict is not Verdict.DEAD:
        return
    assert evidence.genesis_hash == "genesis"
    assert evidence.finalized is not None
    assert evidence.finalized.block_height > LVBH
    assert all(status is None for report in evidence.reports for status in report.statuses)
    good = [each for each in evidence.reports if each.statuses == (None,)]
    assert sum(each.context_slot >= F + 64 for each in good) >= 3
    past = evidence.finalized.block_height - LVBH
    if past > 100 or past + max(each.context_slot for each in good) - F > 180:
        assert evidence.first_available_block in (0, S0)
        assert evidence.second_witness is True


@pytest.mark.parametrize(
    ("commitment", "err", "wanted", "transaction", "result"),
    [
        ("processed", None, "confirmed", None, None),
        ("confirmed", None, "confirmed", "confirmed", "confirmed"),
        ("confirmed", None, "finalized", "confirmed", None),
        ("finalized", None, "confirmed", "finalized", "finalized"),
        ("finalized", None, "finalized", "finalized", "finalized"),
        ("processed", "AccountInUse", "confirmed", None, None),
        ("confirmed", {"InstructionError": [0, {"Custom": 17}]}, "confirmed", None, None),
        ("finalized", {"InstructionError": [0, {"Custom": 17}]}, "confirmed", "failed", "failed"),
    ],
)
def test_i5_a_status_means_the_same_each_time(commitment, err, wanted, transaction, result):
    status = SignatureStatus(F, Commitment(commitment), err)
    sighting = judge_status(status, Commitment(wanted))
    assert sighting == judge_status(status, Commitment(wanted))
    assert sighting.transaction == (TransactionStatus(transaction) if transaction else None)
    assert sighting.result == (ResultStatus(result) if result else None)
    assert sighting.why


def test_i4_no_status_changes_nothing():
    sighting = judge_status(None, Commitment.CONFIRMED)
    assert (sighting.transaction, sighting.result) == (None, None)


def test_a_transaction_may_land_one_block_after_its_last_valid_height():
    assert [is_past_life(LVBH + past, LVBH) for past in (0, 1, 2)] == [False, False, True]


def test_a_blockhash_is_fresh_for_a_third_of_its_life():
    life_of_150 = {"height_at_issue": 1_000}
    assert is_fresh(BLOCKHASH, height_now=1_000, **life_of_150)
    assert is_fresh(BLOCKHASH, height_now=1_050, **life_of_150)
    assert not is_fresh(BLOCKHASH, height_now=1_051, **life_of_150)
