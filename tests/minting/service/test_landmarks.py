"""An authority's first transactions, lost for longer than a status lives, are proven dead too."""

from __future__ import annotations

import json
from functools import partial
from unittest.mock import patch

import pytest
from django.db import IntegrityError, transaction
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from gridtoken.embedded.faults import FaultPlan
from minting.cluster.evidence import collect_death_evidence
from minting.cluster.nodes import Cluster
from minting.engine.errors import SolanaError
from minting.engine.verdicts import CONSENSUS_REACH
from minting.models import Landmark, MintBatch, MintResult, MintTransaction
from minting.service.chain.session import open_session
from minting.service.create_mint import create_mint
from minting.service.drive.recover import prove_dead, recover
from minting.service.drive.submit import drive_waiting
from minting.service.drive.tracking import Flight
from minting.service.history import landmarks
from minting.tasks import look
from tests.factories.readings import MeterReadingFactory, household, solar_farm
from tests.minting.conftest import SOL
from tests.minting.service.test_recovery import assert_minted_once, die, queue

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 450
"""Slots: a blockhash's life, and the 300 rooted blocks of the status cache."""


@pytest.fixture
def quick_proof(minting_chain):
    """A proof of death that waits for slots, not for seconds."""

    async def pass_slots(_seconds: float) -> None:
        minting_chain.net.advance(8)

    hurried = partial(collect_death_evidence, pause=0.0, sleep=pass_slots)
    with patch("minting.cluster.nodes.collect_death_evidence", hurried):
        yield


def recover_once() -> None:
    with open_session() as session:
        recover(session)


def lose_first_wave(chain, drain, reading) -> MintTransaction:
    """Signed by a worker that died before it sent, and found long after."""
    queue(reading)
    die(drain, "minting.service.drive.wave.send")
    chain.net.advance(LONG)
    return MintTransaction.objects.get()


def drive(batch: MintBatch) -> None:
    """Works on this batch alone."""
    with open_session() as session:
        drive_waiting(session, worker="test", batch_id=batch.id)


def take_over(chain, authority: Keypair, *, funded_by_airdrop: bool = True) -> None:
    """Another key makes the mint and gives it to ``authority``, which then is ours."""
    if funded_by_airdrop:
        chain.net.airdrop(authority.pubkey(), SOL)
    else:
        chain.net.set_account(authority.pubkey(), Account(SOL, b"", Pubkey.default()))
    maker = Keypair()
    chain.net.airdrop(maker.pubkey(), SOL)
    chain.keypair_file.write_text(json.dumps(list(bytes(maker))))
    with open_session() as session:
        made = create_mint(session, authority=authority.pubkey())
    chain.keypair_file.write_text(json.dumps(list(bytes(authority))))
    chain.settings.MINT_AUTHORITY_ADDRESS = str(authority.pubkey())
    chain.settings.ENERGY_TOKEN_MINT = str(made.facts.address)


def landmark_of(authority: Keypair) -> Landmark | None:
    return Landmark.objects.filter(address=str(authority.pubkey())).first()


def supply_of(mint: str) -> int:
    with open_session() as session:
        return session.run(session.cluster.token_supply(Pubkey.from_string(mint)))[0]


def assert_proven_late(row: MintTransaction) -> None:
    row.refresh_from_db()
    assert row.status == "expired"
    height = row.evidence["finalized"]["block_height"]
    assert height > row.last_valid_block_height + CONSENSUS_REACH
    assert row.evidence["second_witness"] is True


def test_i4_a_first_wave_lost_for_long_is_proven_dead_and_minted_once(
    minting_chain, drain, quick_proof
):
    reading = household().reading()
    row = lose_first_wave(minting_chain, drain, reading)
    assert landmark_of(minting_chain.authority).slot < row.blockhash_slot

    recover_once()
    assert_proven_late(row)
    drain()
    drain()

    assert_minted_once(minting_chain, reading)
    assert MintResult.objects.get().attempts == 2
    assert MintTransaction.objects.count() == 2


def test_i4_a_first_wave_that_landed_unseen_is_never_called_dead(minting_chain, drain, quick_proof):
    """As above, but it did land: statuses and history both tell."""
    reading = household().reading()
    queue(reading)
    die(drain, "minting.journal.record_landed")
    minting_chain.net.advance(LONG)

    recover_once()

    assert MintTransaction.objects.get().status == "finalized"
    assert_minted_once(minting_chain, reading)


@pytest.mark.parametrize("history", ["only an airdrop", "long, and not ours"])
def test_i4_the_same_for_an_authority_that_made_no_mint(minting_chain, drain, quick_proof, history):
    authority = Keypair()
    take_over(minting_chain, authority)
    if history == "long, and not ours":
        others = transfer(
            TransferParams(
                from_pubkey=minting_chain.authority.pubkey(),
                to_pubkey=authority.pubkey(),
                lamports=5,
            )
        )
        for _ in range(3):
            minting_chain.send([others])
        minting_chain.net.wait_slots(40)
    assert landmark_of(authority) is None

    row = lose_first_wave(minting_chain, drain, household().reading())
    noted = landmark_of(authority)
    assert noted.slot < row.blockhash_slot
    recover_once()
    assert_proven_late(row)
    drain()

    assert landmark_of(authority) == noted
    assert MintResult.objects.get().success
    minting_chain.net.wait_slots(40)
    assert supply_of(minting_chain.settings.ENERGY_TOKEN_MINT) == 250_000_000


def test_i4_without_any_history_a_lost_first_wave_stays_in_doubt(minting_chain, drain, quick_proof):
    """Lamports from the chain's first block: nothing older than the wave is known of anybody."""
    authority = Keypair()
    take_over(minting_chain, authority, funded_by_airdrop=False)
    first, second = household().reading(), solar_farm().reading()
    row = lose_first_wave(minting_chain, drain, first)
    assert landmark_of(authority) is None

    recover_once()

    row.refresh_from_db()
    assert row.status in {"signed", "sent"}
    assert "without a second witness" in row.evidence["why"]
    drive(queue(second))
    assert MintResult.objects.get(reading=second).success
    recover_once()
    row.refresh_from_db()
    assert row.status in {"signed", "sent"}, "what landed later is no older signature"


def test_a_transaction_in_doubt_for_good_keeps_nobody_else_in_doubt(
    minting_chain, drain, quick_proof
):
    """Each ends the walk at what is older than itself."""
    authority = Keypair()
    take_over(minting_chain, authority, funded_by_airdrop=False)
    stuck = lose_first_wave(minting_chain, drain, household().reading())
    drive(queue(solar_farm().reading()))
    minting_chain.net.wait_slots(40)
    batch = queue(MeterReadingFactory())
    die(partial(drive, batch), "minting.service.drive.wave.send")
    minting_chain.net.advance(LONG)

    recover_once()

    assert_proven_late(MintTransaction.objects.latest("id"))
    stuck.refresh_from_db()
    assert stuck.status in {"signed", "sent"}


def test_i4_the_history_of_one_authority_says_nothing_of_what_another_signed(
    minting_chain, drain, quick_proof
):
    """After the key was changed, what the old one signed is looked for in the old one's history."""
    old = lose_first_wave(minting_chain, drain, household().reading())
    other = Keypair()
    minting_chain.net.airdrop(other.pubkey(), SOL)
    genuine = MintTransaction.objects.get()
    young = MintTransaction.objects.create(
        **{
            **{
                field.name: getattr(genuine, field.name)
                for field in MintTransaction._meta.concrete_fields
                if field.name not in {"id", "signature", "fee_payer"}
            },
            "signature": "of another key",
            "fee_payer": str(other.pubkey()),
        }
    )
    asked = []
    death_evidence = Cluster.death_evidence

    async def spy(self, watched, authority, **options):
        asked.append((str(authority), [item.signature for item in watched]))
        return await death_evidence(self, watched, authority, **options)

    with patch.object(Cluster, "death_evidence", spy), open_session() as session:
        dead = prove_dead(session, [Flight.of(young), Flight.of(old)])

    assert sorted(asked) == sorted(
        [
            (str(minting_chain.authority.pubkey()), [old.signature]),
            (str(other.pubkey()), [young.signature]),
        ]
    )
    assert dead == 1
    young.refresh_from_db()
    assert young.status in {"signed", "sent"}


@pytest.mark.parametrize("where", ["learn", "require"])
def test_killed_around_the_landmark_nothing_is_signed_without_it(minting_chain, drain, where):
    Landmark.objects.all().delete()
    reading = household().reading()
    queue(reading)

    die(drain, f"minting.service.history.landmarks.{where}")
    assert not MintTransaction.objects.exists()
    drain()

    assert landmark_of(minting_chain.authority).slot < MintTransaction.objects.get().blockhash_slot
    assert_minted_once(minting_chain, reading)


def test_nothing_is_signed_while_the_history_cannot_be_asked(minting_chain, drain):
    Landmark.objects.all().delete()
    reading = household().reading()
    queue(reading)
    minting_chain.net.faults = FaultPlan(error=1.0, methods=("getSignaturesForAddress",))

    with patch("minting.service.drive.submit.PATIENCE", 0.5):
        look()
    assert not MintTransaction.objects.exists()

    minting_chain.net.faults = FaultPlan()
    drain()
    assert_minted_once(minting_chain, reading)


def test_an_authority_of_this_very_slot_waits_for_the_next(minting_chain):
    mark = landmark_of(minting_chain.authority)
    address = minting_chain.authority.pubkey()
    with open_session() as session:
        with pytest.raises(SolanaError, match="nothing is signed before the next"):
            landmarks.require(session, address, mark.genesis_hash, below_slot=mark.slot)
        landmarks.require(session, address, mark.genesis_hash, below_slot=mark.slot + 1)


def test_a_landmark_is_noted_once_and_stays(minting_chain):
    mark = landmark_of(minting_chain.authority)
    before = minting_chain.net.requests["getSignaturesForAddress"]
    with open_session() as session:
        again = landmarks.learn(session, minting_chain.authority.pubkey(), mark.genesis_hash)

    assert again == mark
    assert minting_chain.net.requests["getSignaturesForAddress"] == before
    with pytest.raises(IntegrityError), transaction.atomic():
        Landmark.objects.create(
            genesis_hash=mark.genesis_hash, address=mark.address, signature="x", slot=1
        )
