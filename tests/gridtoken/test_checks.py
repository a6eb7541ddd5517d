"""The system checks: database, queue, signer."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from gridtoken import checks
from gridtoken.embedded.localnet import Localnet
from minting.models import MintInfo
from tests.gridtoken.conftest import Manage
from tests.minting.conftest import MintingChain, minting_chain

__all__ = ["minting_chain"]

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there."""


def ids(messages) -> list[str]:
    return [message.id for message in messages]


@pytest.mark.django_db
def test_a_database_that_forgets_is_refused_outside_tests(settings):
    settings.ALLOW_VOLATILE_DATABASE = False
    found = checks.check_database(databases=["default"])
    assert [message.msg for message in found] == [
        "PostgreSQL runs with fsync off",
        "PostgreSQL runs with synchronous_commit off",
    ]
    settings.ALLOW_VOLATILE_DATABASE = True
    assert checks.check_database(databases=["default"]) == []


@pytest.mark.django_db
def test_an_old_database_is_refused(monkeypatch):
    monkeypatch.setattr(checks, "OLDEST", 990_000)
    assert ids(checks.check_database(databases=["default"])) == ["gridtoken.E001"]


def test_the_database_is_asked_only_where_django_asks_databases():
    assert checks.check_database() == []


@pytest.mark.parametrize("change", [{"retry": 1800}, {"guard_cycle": 0.7}, {"bulk": 10}])
def test_queue_timing_that_runs_tasks_twice_is_refused(settings, change):
    assert checks.check_queue() == []
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, **change}
    assert ids(checks.check_queue()) == ["gridtoken.E003"]


def test_a_key_that_others_may_read_is_a_warning(settings, tmp_path, monkeypatch):
    settings.MINT_AUTHORITY_KEYPAIR = tmp_path / "authority.json"
    assert checks.check_signer() == []  # the web process has none
    settings.MINT_AUTHORITY_KEYPAIR.touch(mode=0o600)
    assert checks.check_signer() == []
    settings.MINT_AUTHORITY_KEYPAIR.chmod(0o640)
    assert ids(checks.check_signer()) == ["gridtoken.W001"]
    # systemd's own copy is in a mount that nobody else sees.
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert checks.check_signer() == []
    # Looking fails, as where a folder on the way is another user's: no reason for a traceback.
    settings.MINT_AUTHORITY_KEYPAIR = tmp_path.parent / ("long" * 100)
    assert checks.check_signer() == []


def test_nothing_is_said_without_a_key(settings):
    settings.MINT_AUTHORITY_KEYPAIR = None
    assert checks.check_signer() == []


def test_a_token_that_travels_in_the_clear_is_a_warning(settings):
    for url, found in (
        ("http://vault.example:8200", ["gridtoken.W004"]),
        ("https://vault.example:8200", []),
        ("http://127.0.0.1:8200", []),
    ):
        settings.VAULT_ADDR = url
        assert ids(checks.check_signer()) == found


@pytest.mark.django_db
def test_clocks_that_are_apart_are_a_warning(monkeypatch):
    now = time.time()
    monkeypatch.setattr(checks, "time", SimpleNamespace(time=lambda: now + 60))
    [found] = checks.check_database(databases=["default"])
    assert found.id == "gridtoken.W002"
    assert "s ahead of the database's" in found.msg
    monkeypatch.setattr(checks, "time", SimpleNamespace(time=lambda: now - 60))
    assert "s behind the database's" in checks.check_database(databases=["default"])[0].msg


def test_a_password_alone_is_a_warning(settings):
    assert ids(checks.check_second_factor()) == ["gridtoken.W003"]
    settings.STAFF_MFA_REQUIRED = True
    assert checks.check_second_factor() == []


def test_production_has_nothing_to_be_warned_of(
    manage: Manage, minting_chain: MintingChain, localnet: Localnet
):
    """The real settings, an embedded database of its own, a node; then none of them."""
    production = {
        "SOLANA_RPC_URL": localnet.url,
        "SOLANA_GENESIS_HASH": MintInfo.objects.get().genesis_hash,
        "MINT_AUTHORITY_ADDRESS": str(minting_chain.authority.pubkey()),
        "ENERGY_TOKEN_MINT": str(minting_chain.mint),
    }
    check = ("check", "--deploy", "--database", "default", "--fail-level", "WARNING")
    done = manage(*check, **production)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "System check identified no issues (2 silenced).\n"

    dead = {"SOLANA_RPC_URL": NOWHERE, "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/x"}
    open_wide = {"DJANGO_HTTPS": "false", "STAFF_MFA_REQUIRED": "false"}
    both = (
        "import time; from django.core.management import call_command; began = time.monotonic();"
        "call_command('check'); print(time.monotonic() - began);"
        "call_command('check', deploy=True, databases=['default'], fail_level='WARNING')"
    )
    done = manage("shell", "--no-imports", "-c", both, **production | dead | open_wide)
    assert done.returncode == 1
    # What asks nobody works where nobody answers.
    assert float(done.stdout.splitlines()[-1]) < 10
    for code in ("gridtoken.E004", "gridtoken.W003", "minting.W001", "security.W004"):
        assert f"({code})" in done.stderr
    assert done.stderr.count("HINT: ") == 3, "one for each of ours"
    assert "Traceback" not in done.stderr
