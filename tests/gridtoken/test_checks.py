"""The system checks: database, queue, signer."""

from __future__ import annotations

import pytest

from gridtoken import checks


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


def test_a_key_that_others_may_read_is_a_warning(settings, tmp_path):
    settings.MINT_AUTHORITY_KEYPAIR = tmp_path / "authority.json"
    assert checks.check_signer() == []  # the web process has none
    settings.MINT_AUTHORITY_KEYPAIR.touch(mode=0o600)
    assert checks.check_signer() == []
    settings.MINT_AUTHORITY_KEYPAIR.chmod(0o640)
    assert ids(checks.check_signer()) == ["gridtoken.W001"]


def test_nothing_is_said_without_a_key(settings):
    settings.MINT_AUTHORITY_KEYPAIR = None
    assert checks.check_signer() == []


def test_a_token_that_travels_in_the_clear_is_a_warning(settings):
    for url, found in (
        ("http://vault.example:8200", ["gridtoken.W002"]),
        ("https://vault.example:8200", []),
        ("http://127.0.0.1:8200", []),
    ):
        settings.VAULT_ADDR = url
        assert ids(checks.check_signer()) == found
