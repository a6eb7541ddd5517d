"""The checks of what mints: each fires, alone, on what it is for, and says what to do."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from django.test import override_settings
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from minting import checks
from minting.models import MintInfo
from minting.service.watch import survey
from tests.minting.conftest import MintingChain

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there."""


def found(messages: list[Any]) -> list[str]:
    """Their ids; each has a sentence and a hint."""
    assert all(each.msg and each.hint for each in messages)
    return [each.id.removeprefix("minting.") for each in messages]


def test_an_installation_as_it_should_be_has_nothing_to_be_told(minting_chain: MintingChain):
    before = MintInfo.objects.count()
    assert found(checks.check_chain()) == []
    assert found(checks.check_settings()) == []
    assert MintInfo.objects.count() == before, "a check writes nothing"


def test_each_wrong_setting_is_found_by_its_own_check(minting_chain: MintingChain):
    other = Keypair()

    with override_settings(SOLANA_GENESIS_HASH=str(Pubkey.default())):
        assert found(checks.check_chain()) == ["E001"]
    MintInfo.objects.update(genesis_hash=str(Pubkey.default()))
    assert found(checks.check_chain()) == ["E001"]
    MintInfo.objects.all().delete()

    for address in (None, str(other.pubkey()), str(minting_chain.authority.pubkey())):
        with override_settings(ENERGY_TOKEN_MINT=address):
            assert found(checks.check_chain()) == ["E002"]
    with override_settings(MINT_AUTHORITY_ADDRESS=str(other.pubkey())):
        # Neither the mint's authority, nor does it hold anything to pay with.
        assert found(checks.check_chain()) == ["W002", "E003"]
    with override_settings(TOKENIZATION_DECIMALS=6):
        assert found(checks.check_chain()) == ["E004"]


def test_what_cannot_even_be_asked_is_told(minting_chain: MintingChain, monkeypatch, tmp_path):
    idl = tmp_path / "idl.json"
    idl.write_text("{}")
    with override_settings(MINT_PROGRAM="anchor", MINT_PROGRAM_IDL=idl):
        assert found(checks.check_chain()) == ["E006"]
    silent = {"MINT_SIGNER": "vault", "VAULT_ADDR": NOWHERE, "VAULT_TRANSIT_KEY": "mint"}
    nobody = {"MINT_AUTHORITY_ADDRESS": None, "MINT_AUTHORITY_KEYPAIR": None}
    with override_settings(VAULT_TOKEN="x", **silent, **nobody):
        assert found(checks.check_chain()) == ["E008"]

    def away(*_: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(survey, "require_same_cluster", away)
    assert found(checks.check_chain()) == ["W004"]


def test_clock_balance_and_silence_are_warnings(minting_chain: MintingChain, monkeypatch):
    now = time.time()
    with monkeypatch.context() as wrong:
        # Its own clock alone: the chain lives in this process too.
        wrong.setattr(survey, "time", SimpleNamespace(time=lambda: now + 3600))
        [ahead] = checks.check_chain()
        assert ahead.id == "minting.W003"
        assert "ahead of the chain's" in ahead.msg
    with monkeypatch.context() as wrong:
        wrong.setattr(survey, "LOW", 10**15)
        assert found(checks.check_chain()) == ["W002"]
    minting_chain.settings.SOLANA_RPC_URLS = [NOWHERE]
    began = time.monotonic()
    assert found(checks.check_chain()) == ["W001"]
    assert time.monotonic() - began < survey.PATIENCE + 4


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"MINT_PROGRAM_ID": str(Pubkey.default())}, "W010"),
        ({"TOKENIZATION_INITIAL_RETRY_DELAY_SECS": 7200}, "W011"),
        ({"VAULT_TRANSIT_KEY": "mint"}, "W014"),
        ({"MINT_MAX_KWH_PER_DAY": 50}, "W012"),
        ({"MINT_MAX_KWH_PER_DAY": 500, "APPROVAL_ABOVE_KWH": 500}, "W013"),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings, wrong: dict[str, Any], code: str):
    for name, value in wrong.items():
        setattr(settings, name, value)
    assert found(checks.check_settings()) == [code]


def test_a_key_beside_another_s_address_is_refused(settings, tmp_path):
    key = tmp_path / "authority.json"
    key.write_text(json.dumps(list(bytes(Keypair()))))
    settings.MINT_AUTHORITY_KEYPAIR = key
    settings.MINT_AUTHORITY_ADDRESS = str(Keypair().pubkey())
    assert found(checks.check_settings()) == ["E007"]
