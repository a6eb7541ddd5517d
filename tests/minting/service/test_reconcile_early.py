"""Reconciling a mint that was made a moment ago: nothing to compare yet, and that is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import call_command
from solders.keypair import Keypair

from gridtoken.embedded.localnet import Localnet
from minting.engine.errors import MintNotFinal
from minting.models import MintingGate, ReconcileRun
from minting.service.audit import reconcile as reconciling
from minting.service.chain.session import open_session
from minting.service.create_mint import create_mint
from minting.tasks import reconcile, reconcile_all
from tests.minting.conftest import SOL

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def young_mint(db, chain: Localnet, settings, tmp_path) -> Iterator[Localnet]:
    """A chain that stands still a moment after a mint of ours was confirmed."""
    authority = Keypair()
    keypair_file = tmp_path / "authority.json"
    keypair_file.touch(mode=0o600)
    keypair_file.write_text(json.dumps(list(bytes(authority))))
    settings.MINT_AUTHORITY_KEYPAIR = str(keypair_file)
    settings.MINT_AUTHORITY_ADDRESS = str(authority.pubkey())
    settings.MINT_JOURNAL_DIR = str(tmp_path / "journal")
    chain.airdrop(authority.pubkey(), SOL)
    with open_session() as session:
        made = create_mint(session)
    chain.pause()
    settings.ENERGY_TOKEN_MINT = str(made.facts.address)
    yield chain
    chain.resume()


@pytest.mark.parametrize("task", [reconcile, reconcile_all])
def test_the_clocks_run_says_that_there_is_nothing_to_compare(young_mint, task):
    assert "not finalized" in task()["nothing_to_compare"]
    assert not ReconcileRun.objects.exists()
    assert not MintingGate.objects.filter(closed_since__isnull=False).exists()

    young_mint.advance(40)

    assert task()["status"] == "clean"


def test_the_command_waits_for_it(young_mint):
    young_mint.resume()
    told = StringIO()
    call_command("reconcile", "--json", stdout=told)
    assert json.loads(told.getvalue())["status"] == "clean"


def test_where_it_does_not_come_the_reason_is_given(young_mint):
    with open_session() as session, pytest.raises(MintNotFinal, match="Nothing to compare yet"):
        reconciling.reconcile_after_recovery(session, patience=1.0)
