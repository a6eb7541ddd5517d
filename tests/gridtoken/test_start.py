"""Commands start, or say in one line why not; and start no more than they need."""

from __future__ import annotations

import pytest

from gridtoken.env import WrongVariableError, load


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        (
            "DJANGO_SECRET_KEY",
            "",
            "DJANGO_SECRET_KEY must be a long random text (or DJANGO_DEBUG true); it is not set",
        ),
        (
            "DJANGO_ALLOWED_HOSTS",
            "",
            "DJANGO_ALLOWED_HOSTS must be the host names that are served; it is not set",
        ),
        (
            "SOLANA_COMMITMENT",
            "processed",
            "SOLANA_COMMITMENT must be confirmed or finalized, not 'processed'",
        ),
        (
            "MINT_PROGRAM",
            "anchor",
            (
                "MINT_PROGRAM_IDL must be the path of an Anchor IDL while MINT_PROGRAM is anchor; "
                "it is not set"
            ),
        ),
    ],
)
def test_a_wrong_environment_stops_the_start_with_one_line(manage, variable, value, line):
    done = manage("check", **{variable: value})
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line + "\n")


def test_an_account_that_cannot_be_found_stops_the_start_with_its_name(manage):
    idl = "tests/programs/platform_mint.json"
    done = manage("check", MINT_PROGRAM="anchor", MINT_PROGRAM_IDL=idl)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "Account registry_authority: nothing says which address it is; MINT_PROGRAM_ACCOUNTS can\n",
    )


def test_debugging_needs_nothing(manage):
    done = manage("check", DJANGO_SECRET_KEY="", DJANGO_ALLOWED_HOSTS="", DJANGO_DEBUG="true")
    assert done.returncode == 0, done.stderr


def test_a_file_may_hold_the_environment_and_the_process_wins(manage, tmp_path):
    file = tmp_path / "environment"
    file.write_text("DJANGO_ALLOWED_HOSTS=file.example\nSOLANA_COMMITMENT=finalized\n")
    tell = "from django.conf import settings as s; print(s.ALLOWED_HOSTS, s.SOLANA_COMMITMENT)"
    done = manage("shell", "--no-imports", "-c", tell, ENV_FILE=str(file))
    assert done.stdout == "['utility.example'] finalized\n"


def test_a_file_that_cannot_be_taken_whole_stops_the_start_and_nothing_of_it_is_quoted(
    tmp_path, monkeypatch
):
    # Passed over, it would leave defaults: a database of its own, a chain of this machine.
    file = tmp_path / "environment"
    monkeypatch.setenv("ENV_FILE", str(file))
    said = [_refusal()]
    file.write_text("# a comment\n\n  export A_SETTING=1 \nMETRICS_TOKEN = hunter2\n")
    said.append(_refusal())
    file.write_bytes(b"A_SETTING=\xff")
    said.append(_refusal())
    beginning = f"The file of the environment, {file}: "
    assert said == [
        beginning + "No such file or directory",
        beginning + "line 4 is not NAME=value",
        beginning + "it is no text",
    ]
    file.write_text("\ufeff# of Windows\r\n  export A_SETTING='two words' \r\n")
    monkeypatch.setenv("A_SETTING", "")  # taken away again when this test ends
    monkeypatch.delenv("A_SETTING")
    assert load().text("A_SETTING") == "two words"


def _refusal() -> str:
    with pytest.raises(WrongVariableError) as refused:
        load()
    return str(refused.value)


def test_help_starts_no_database(manage, tmp_path):
    done = manage("migrate", "--help")
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_production_is_secure_as_it_comes(manage):
    assert "security." not in manage("check", "--deploy", "--tag", "security").stderr


def test_plain_http_is_a_deploy_warning_never_a_refusal(manage):
    said = manage("check", "--deploy", "--tag", "security", DJANGO_HTTPS="false").stderr
    assert "security.W008" in said.partition("WARNINGS")[2]
