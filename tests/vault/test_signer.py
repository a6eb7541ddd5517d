"""Vault signs, by one version of its key, and whatever else it does is told apart."""

from __future__ import annotations

import asyncio
import pickle
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from solders.keypair import Keypair
from structlog.testing import capture_logs

from minting.cluster.signers import SignerSettings, VaultSettings, VaultSigner, open_signer
from minting.cluster.signers.vault_login import Lease
from minting.engine.errors import SignerRefused, SignerUnavailable
from tests.vault.core import TransitKey
from tests.vault.operator import KEY, Operator
from tests.vault.server import StandIn

MESSAGES = [b"first", b"", b"\x80third" * 500]


def sign(signer, messages=MESSAGES):
    return asyncio.run(signer.sign(messages))


# ------------------------------------------------------------- stand-in and real server alike


def test_it_signs_many_messages_and_keeps_the_version_it_began_with(place):
    operator = place.operator
    signer = open_signer(SignerSettings("vault", vault=place.settings()))
    assert signer.address == operator.address(1)
    first = sign(signer)
    assert all(
        each.verify(signer.address, message) for each, message in zip(first, MESSAGES, strict=True)
    )
    operator.rotate()
    assert sign(signer) == first  # version 1 is what the mint knows

    # Opened anew it needs to be told which: the newest would be another authority.
    with pytest.raises(SignerRefused, match="2 versions: MINT_AUTHORITY_ADDRESS has to say"):
        VaultSigner.open(place.settings())
    assert sign(VaultSigner.open(place.settings(), operator.address(1))) == first
    assert sign(VaultSigner.open(place.settings(), operator.address(2))) != first
    with pytest.raises(SignerRefused, match="MINT_AUTHORITY_ADDRESS says"):
        VaultSigner.open(place.settings(), Keypair().pubkey())

    operator.write(f"transit/keys/{KEY}/config", min_encryption_version=2)
    with pytest.raises(SignerRefused, match="less than the minimum"):
        sign(signer)


def test_what_a_person_has_to_mend_is_refused_with_what_it_is(place):
    operator = place.operator
    operator.write("transit/keys/secret-box", type="aes256-gcm96")
    root = operator.root
    for settings, sentence in (
        (place.settings(token="s.wrong"), "403, permission denied.*not valid"),
        (VaultSettings(place.url, "secret-box", token=root), "not of the type ed25519"),
        (VaultSettings(place.url, "nothing", token=root), "404.*not there"),
        (VaultSettings(place.url, KEY, mount="elsewhere", token=root), "404"),
        (VaultSettings(place.url, KEY, namespace="elsewhere", token=root), "404, namespace"),
        (VaultSettings(place.url, "other", token=operator.token()), "policy does not allow"),
        (place.settings(role_id="nobody", secret_id="x"), "400, invalid role or secret ID"),
        (place.settings(token=""), "set VAULT_TOKEN, VAULT_TOKEN_FILE or VAULT_ROLE_ID"),
    ):
        with pytest.raises(SignerRefused, match=sentence) as refused:
            VaultSigner.open(settings)
        assert "\n" not in str(refused.value)
        assert refused.value.__cause__ is None
        for secret in (settings.token, settings.secret_id):
            assert len(secret) < 6 or secret not in str(refused.value)


def test_sealed_is_for_now_and_nobody_is_asked_twice_for_it_in_vain(place):
    signer = VaultSigner.open(place.settings(timeout=0.4))
    place.operator.write("sys/seal")
    with pytest.raises(SignerUnavailable, match="503, Vault is sealed"):
        sign(signer)


def test_tokens_are_renewed_replaced_and_missed(place, tmp_path):
    operator = place.operator
    operator.role(ttl="1s")
    role_id, secret_id = operator.approle()
    file = tmp_path / "secret-id"
    file.write_text(f"{secret_id}\n")
    by_role = VaultSigner.open(place.settings(role_id=role_id, secret_id_file=file))
    renewed = VaultSigner.open(place.settings(token=operator.token(ttl="3s")))
    sink = tmp_path / "token"  # as Vault's agent writes it
    sink.write_text(operator.token(ttl="1s", renewable=False))
    by_file = VaultSigner.open(place.settings(token_file=sink))
    ending = VaultSigner.open(place.settings(token=operator.token(ttl="1s", renewable=False)))

    time.sleep(2.1)  # two thirds of three seconds; the others' tokens are dead
    sink.write_text(operator.token())
    for signer in (by_role, renewed, by_file):
        assert sign(signer)
    with capture_logs() as logs, pytest.raises(SignerRefused, match="403"):
        sign(ending)
    assert [each["event"] for each in logs] == ["vault_token_ends"]
    time.sleep(1.2)  # the renewed one would have ended
    assert sign(renewed)


# ------------------------------------------------------------- what a server does when it is ill


@pytest.fixture
def signer(standin):
    operator = Operator(standin.url, standin.root)
    made = VaultSigner.open(VaultSettings(standin.url, KEY, token=operator.token(), timeout=0.6))
    yield made
    made.close()


def test_a_wave_costs_one_round_trip(standin, signer):
    before = len(standin.asked)
    sign(signer, [bytes([number]) * 900 for number in range(64)])
    assert standin.asked[before:] == [f"POST transit/sign/{KEY}"]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"status": 429, "body": '{"errors": ["rate limit quota exceeded"]}'}, "fewer questions"),
        ({"status": 500}, "fails .500, internal error"),
        ({"status": 502, "body": "<html>", "content_type": "text/html"}, r"fails .502\)"),
        ({"status": 412, "body": '{"errors": null}'}, r"fails .412\)"),
        ({"drop": True}, "cannot be reached|connection"),
        ({"delay": 2.0}, r"no answer within 0\.6 s"),
        ({"status": 200, "body": "<html>welcome to our portal"}, "does not answer as Vault does"),
        ({"status": 200, "body": '{"data": null}'}, "cannot be read"),
    ],
)
def test_what_passes_by_itself_is_asked_again_and_then_told(standin, signer, fault, sentence):
    with standin.failing(**fault, times=1):
        began = time.monotonic()
        if "delay" in fault or (fault.get("status") == 200 and "null" in fault["body"]):
            with pytest.raises(SignerUnavailable, match=sentence):
                sign(signer)
        else:
            assert sign(signer)
    with standin.failing(**fault), pytest.raises(SignerUnavailable, match=sentence):
        sign(signer)
    assert time.monotonic() - began < 3
    assert sign(signer)  # and all is well again


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"forge": True}, "signature is not that of"),
        ({"edit": {"batch_results": []}}, "each message with a result"),
        ({"edit": {"batch_results": [{"signature": "vault:v1:AAAA"}] * 3}}, "no Ed25519 signature"),
        ({"edit": {"batch_results": [{"signature": "vault:v1:%%"}] * 3}}, "no Ed25519 signature"),
        ({"edit": {"batch_results": [{"error": "internal\nerror"}] * 3}}, "internal error"),
    ],
)
def test_a_wrong_signature_reaches_nobody(standin, signer, fault, sentence):
    with standin.failing(**fault), pytest.raises(SignerRefused, match=sentence):
        sign(signer)


def test_a_dribbling_server_holds_nobody_up(standin, signer, monkeypatch):
    # Each read gets something in time, so that the library's own limit never passes.
    monkeypatch.setattr(
        "minting.cluster.signers.vault_door.VaultDoor.sign", lambda *_: time.sleep(3)
    )
    began = time.monotonic()
    with pytest.raises(SignerUnavailable, match="no answer within"):
        sign(signer)
    assert time.monotonic() - began < 2


def test_nobody_there_and_a_name_that_is_not(standin):
    token = Operator(standin.url, standin.root).token()
    standin.close()
    for url, sentence in (
        (standin.url, "cannot be reached .Connection refused"),
        ("http://vault.invalid:8200", "cannot be reached .*(known|resolution)"),
    ):
        with pytest.raises(SignerUnavailable, match=sentence):
            VaultSigner.open(VaultSettings(url, KEY, token=token, timeout=0.3))


def test_settings_that_cannot_work_are_refused_before_anybody_is_asked(tmp_path):
    nowhere = tmp_path / "nowhere"
    for settings, sentence in (
        (VaultSettings(None, KEY), "VAULT_ADDR is not set"),
        (VaultSettings("http://127.0.0.1:1", None), "VAULT_TRANSIT_KEY is not set"),
        (
            VaultSettings("https://127.0.0.1:1", KEY, ca_file=nowhere),
            "VAULT_CACERT .* no such file",
        ),
        (
            VaultSettings("http://127.0.0.1:1", KEY, token_file=nowhere),
            "VAULT_TOKEN_FILE .* No such",
        ),
        (
            VaultSettings("http://127.0.0.1:1", KEY, role_id="r", secret_id_file=nowhere),
            "VAULT_SECRET_ID_FILE .* No such",
        ),
    ):
        with pytest.raises(SignerRefused, match=sentence):
            VaultSigner.open(settings)


def test_nothing_shows_the_token(signer):
    settings = VaultSettings("http://v", KEY, token="hvs.TELLTALE", role_id="TELLTALE",
                             secret_id="TELLTALE")  # fmt: skip
    shown = repr((settings, SignerSettings("vault", vault=settings), signer, signer._door))
    shown += repr(Lease("TELLTALE", renewable=True, renew_at=None))
    assert "TELLTALE" not in shown
    assert "hvs." not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(signer)


def test_a_certificate_has_to_be_trusted_and_a_namespace_named(tmp_path):
    context, authority = certified(tmp_path)
    server = StandIn(namespace="utility", tls=context)
    token = server.core.issue(["root"], 60, renewable=True, most=60).id
    server.core.keys["transit", KEY] = TransitKey(KEY, "ed25519")
    server.core.keys["transit", KEY].rotate()
    server.core.mounts.add("transit")
    settings = VaultSettings(server.url, KEY, token=token, namespace="utility", timeout=1)
    with pytest.raises(SignerRefused, match=r"not trusted .* see VAULT_CACERT"):
        VaultSigner.open(settings)
    trusting = replace(settings, ca_file=authority)
    assert sign(VaultSigner.open(trusting))
    with pytest.raises(SignerRefused, match="404, namespace not found"):
        VaultSigner.open(replace(trusting, namespace=None))
    server.close()


def certified(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for 127.0.0.1, and the file that makes it trusted."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vault")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "ca.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem
