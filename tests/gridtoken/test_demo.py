"""The demo's memory, and what stops it before it starts."""

from __future__ import annotations

import json
import os
import socket

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from solders.keypair import Keypair

from gridtoken import demo


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path):
    file = tmp_path / "demo.json"
    state = demo.State.load(file)
    assert state.admin_password != state.operator_password
    state.mint = "address"
    state.save(file)
    assert demo.State.load(file) == state
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_the_authority_is_a_keypair_file_as_solana_writes_it(tmp_path):
    file = tmp_path / "authority.json"
    made = demo.load_keypair(file)
    assert demo.load_keypair(file) == made
    assert Keypair.from_json(file.read_text()) == made
    assert len(json.loads(file.read_text())) == 64
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["0", "http", "65536"])
def test_a_port_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("PORT", text)
    with pytest.raises(SystemExit, match=f"PORT must be a port number, not '{text}'"):
        demo.read_port()


def test_a_taken_port_is_named(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not demo.is_free(port)
        monkeypatch.setenv("PORT", str(port))
        with pytest.raises(SystemExit, match=f"Port {port} is taken: set PORT"):
            demo.read_port()
    assert demo.is_free(demo.free_port())


def test_two_demos_do_not_share_a_folder(tmp_path):
    held = demo.claim(tmp_path)
    with pytest.raises(SystemExit, match="set DATA_DIR to another folder"):
        demo.claim(tmp_path)
    os.close(held)
    os.close(demo.claim(tmp_path))


@pytest.fixture
def passwords(monkeypatch, groups):
    for name in ("admin", "operator", "approver", "auditor"):
        monkeypatch.setenv(f"DEMO_{name.upper()}_PASSWORD", f"{name}'s")


@pytest.mark.django_db
def test_the_demo_s_people(passwords):
    call_command("create_demo_users")
    people = {user.username: user for user in User.objects.all()}
    for name, user in people.items():
        assert user.check_password(f"{name}'s")
        assert user.is_staff
        assert user.is_superuser is (name == "admin")
    assert {name: user.groups.get().name for name, user in people.items()} == {
        "admin": "Administrator",
        "operator": "Operator",
        "approver": "Approver",
        "auditor": "Auditor",
    }
    assert people["operator"].has_perm("minting.mint_readings")
    assert not people["auditor"].has_perm("minting.mint_readings")
    assert not people["operator"].has_module_perms("auth")


def test_a_demo_of_before_gets_the_people_that_it_lacks(tmp_path):
    file = tmp_path / "demo.json"
    old = {"secret_key": "k", "admin_password": "a", "operator_password": "o", "mint": "m"}
    file.write_text(json.dumps(old))
    state = demo.State.load(file)
    assert (state.admin_password, state.mint) == ("a", "m")
    assert len(set(state.passwords().values())) == 4


@pytest.mark.django_db
def test_who_changed_a_password_keeps_it(passwords):
    call_command("create_demo_users")
    operator = User.objects.get(username="operator")
    operator.set_password("changed")
    operator.save()
    call_command("create_demo_users")
    assert User.objects.get(username="operator").check_password("changed")


@pytest.mark.django_db
def test_a_password_has_to_be_given(monkeypatch):
    monkeypatch.delenv("DEMO_ADMIN_PASSWORD", raising=False)
    with pytest.raises(CommandError, match="DEMO_ADMIN_PASSWORD is not set"):
        call_command("create_demo_users")
