"""A key goes in and nothing but signatures come out."""

from __future__ import annotations

import asyncio
import json
import pickle

import pytest
from solders.keypair import Keypair
from structlog.testing import capture_logs

from minting.cluster.signers import KeypairSigner, SignerSettings, open_signer
from minting.engine.errors import MintingRefused

KEYPAIR = Keypair.from_seed(bytes(range(32)))


@pytest.fixture
def keyfile(tmp_path):
    path = tmp_path / "authority.json"
    path.write_text(json.dumps(list(bytes(KEYPAIR))))
    path.chmod(0o600)
    return path


def test_a_cli_keypair_file_signs(keyfile):
    with capture_logs() as logs:
        signer = open_signer(SignerSettings("keypair", keyfile))
    assert signer.address == KEYPAIR.pubkey()
    (signature,) = asyncio.run(signer.sign([b"message"]))
    assert signature.verify(KEYPAIR.pubkey(), b"message")
    assert logs == []


def test_the_key_is_not_shown(keyfile):
    signer = KeypairSigner.load(keyfile)
    assert repr(signer) == str(signer) == f"KeypairSigner({KEYPAIR.pubkey()})"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(signer)
    assert not hasattr(signer, "__dict__")


def test_a_file_that_others_can_read_is_warned_of(keyfile):
    keyfile.chmod(0o644)
    with capture_logs() as logs:
        KeypairSigner.load(keyfile)
    assert [line["event"] for line in logs] == ["keypair_file_readable_by_others"]
    assert logs[0]["mode"] == "0o644"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "{}",
        "64",
        "9999999999999",
        "[1, 2, 3]",
        json.dumps([1] * 64),
        json.dumps([1] * 63 + [256]),
        json.dumps([1] * 63 + ["1"]),
        json.dumps(list(bytes(KEYPAIR))[:32]),
        "\udcff",
    ],
)
def test_what_is_not_a_key_is_refused_in_one_line(keyfile, content):
    keyfile.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(MintingRefused) as refusal:
        KeypairSigner.load(keyfile)
    assert str(keyfile) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.__cause__ is refusal.value.__context__ is None


def test_a_missing_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(MintingRefused, match="No such file"):
        KeypairSigner.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("kind", "path", "sentence"),
    [
        ("keypair", None, "MINT_AUTHORITY_KEYPAIR is not set"),
        ("ledger", None, "MINT_SIGNER is 'ledger'"),
        ("vault", None, "VAULT_ADDR is not set"),
    ],
)
def test_a_signer_that_cannot_be_opened_says_why(kind, path, sentence):
    with pytest.raises(MintingRefused, match=sentence):
        open_signer(SignerSettings(kind, path))
