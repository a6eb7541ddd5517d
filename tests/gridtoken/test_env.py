"""What the environment may hold, and what is said of it when it may not."""

from __future__ import annotations

from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.conf import settings

from gridtoken.env import BASE_DIR, Environment, WrongVariableError
from gridtoken.settings import env

ADDRESS = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"


def of(**variables: str) -> Environment:
    return Environment(variables)


def said(error: pytest.ExceptionInfo[WrongVariableError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_an_empty_variable_is_not_set():
    assert of(A=" ").text("A", "default") == "default"
    assert of(A="").whole("A") is None


@pytest.mark.parametrize(("text", "value"), [("true", True), ("No", False), ("1", True)])
def test_flags(text, value):
    assert of(A=text).flag("A", default=not value) is value


def test_numbers_keep_their_exact_value():
    assert of(A="0.1").decimal("A", "1") == Decimal("0.1")
    assert of(A="18446744073709551615").whole("A", 1) == 2**64 - 1
    assert of(A="auto").whole_or_auto("A", 0) == "auto"
    assert of(A="0").whole_or_auto("A", 5) == 0


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "ten", "٣", "1e3", str(2**64)])
def test_what_is_no_whole_number_above_zero_is_refused(text):
    with pytest.raises(WrongVariableError) as error:
        of(A=text).whole("A", 1)
    assert said(error) == f"A must be a whole number from 1 to {2**64 - 1}, not {text!r}"


@pytest.mark.parametrize("text", ["0", "-0.1", "NaN", "Infinity", "much"])
def test_what_is_no_decimal_above_zero_is_refused(text):
    with pytest.raises(WrongVariableError) as error:
        of(A=text).decimal("A", "1")
    assert said(error) == f"A must be a number above 0, not {text!r}"


def test_numbers_with_a_least_value_of_their_own():
    assert of(A="0").whole("A", 3, least=0) == 0
    assert of(A="1").decimal("A", "2.0", least=1) == 1
    assert of().decimal("A") is None
    with pytest.raises(WrongVariableError) as error:
        of(A="0.99").decimal("A", "2.0", least=1)
    assert said(error) == "A must be a number from 1 on, not '0.99'"


def test_a_word_that_is_no_choice_is_refused_with_the_choices():
    with pytest.raises(WrongVariableError) as error:
        of(A="processed").choice("A", "confirmed", "finalized")
    assert said(error) == "A must be confirmed or finalized, not 'processed'"


def test_a_flag_that_is_none_is_refused():
    with pytest.raises(WrongVariableError, match="A must be true or false, not 'maybe'"):
        of(A="maybe").flag("A", default=True)


def test_a_wrong_value_beside_auto_is_refused():
    with pytest.raises(WrongVariableError, match="or auto, not 'cheap'"):
        of(A="cheap").whole_or_auto("A", 0)


def test_several_urls_fail_over_in_their_order():
    assert of(A="http://a, https://b:1/x").urls("A") == ["http://a", "https://b:1/x"]


@pytest.mark.parametrize("text", ["ws://node", "node:8899", "http://", "http://node:port"])
def test_what_is_no_url_is_refused(text):
    with pytest.raises(WrongVariableError, match="A must be an http:// or https:// URL, not"):
        of(A=text).url("A")


@pytest.mark.parametrize(
    "text",
    ["ftp://me:hunter2@node", "ws://node?api-key=hunter2", "ws://node/v2/hunter2", "node/hunter2"],
)
def test_a_url_with_a_secret_is_refused_without_showing_it(text):
    with pytest.raises(WrongVariableError) as error:
        of(A=text).url("A")
    assert "hunter2" not in said(error)


def test_a_database_url_may_be_anything_that_libpq_takes():
    socket = of(A="postgresql://user@/db?host=/dir").database("A", shown="")
    assert socket == {"user": "user", "dbname": "db", "host": "/dir"}
    several = of(A="postgres://u:p%40@h:1,h2:2/db?sslmode=require").database("A", shown="")
    assert several == {
        "user": "u",
        "password": "p@",
        "host": "h,h2",
        "port": "1,2",
        "dbname": "db",
        "sslmode": "require",
    }


@pytest.mark.parametrize("text", ["mysql://me:hunter2@host/db", "postgres://me:hunter2@a b/db"])
def test_another_database_url_is_refused_without_its_password(text):
    with pytest.raises(WrongVariableError, match="must be a PostgreSQL URL") as error:
        of(A=text).database("A", shown="")
    assert "hunter2" not in said(error)


@pytest.mark.parametrize(
    "text", ["redis://host", "redis://:p@[::1]:6380/2", "rediss://u:p@redis.example:6379/"]
)
def test_a_broker_s_url(text):
    assert of(A=text).broker("A") == text
    assert of().broker("A") is None


@pytest.mark.parametrize(
    "text",
    [
        "amqp://me:hunter2@host",
        "redis://:hunter2@/0",
        "redis://:hunter2@host:0",
        "redis://:hunter2@host:port/0",
        "redis://host/hunter2",
        "redis://host/0?password=hunter2",
        "redis://host/0#hunter2",
    ],
)
def test_another_broker_s_url_is_refused_without_its_password(text):
    with pytest.raises(WrongVariableError, match="A must be a Redis URL") as error:
        of(A=text).broker("A")
    assert "hunter2" not in said(error)


def test_values_of_the_chain_are_checked():
    assert of(A=ADDRESS).address("A") == ADDRESS
    assert of().hash("A") is None
    with pytest.raises(WrongVariableError, match="A must be a Solana address"):
        of(A="0x1234").address("A")


def test_networks():
    assert of(A="10.0.0.0/8,::1").networks("A") == [ip_network("10.0.0.0/8"), ip_network("::1")]
    with pytest.raises(WrongVariableError, match="A must be IP addresses or networks"):
        of(A="proxy.example").networks("A")


def test_relative_paths_start_at_the_checkout():
    assert of(A="keys/a.json").file("A") == BASE_DIR / "keys" / "a.json"
    assert of(A="/keys").folder("A", Path("x"), shown="x") == Path("/keys")
    assert of().file("A") is None


def test_the_example_lists_every_variable_with_its_default():
    lines = (BASE_DIR / ".env.example").read_text().splitlines()
    listed = [line.split("=", 1) for line in lines if line and not line.startswith("#")]
    assert dict(listed) == env.declared
    assert len(listed) == len(env.declared)


def test_settings_bear_the_names_of_their_variables():
    renamed = {
        "DJANGO_DEBUG",
        "DJANGO_SECRET_KEY",
        "DJANGO_ALLOWED_HOSTS",
        "DJANGO_CSRF_TRUSTED_ORIGINS",
        "DATABASE_URL",
    }
    assert {name for name in env.declared if not hasattr(settings, name)} == renamed


def test_pairs_have_a_name_and_a_value_each_once():
    assert of(A="x = 1, y=2").pairs("A", "name=value") == {"x": "1", "y": "2"}
    assert of(A="x=key.json").named_files("A", "x=file") == {"x": BASE_DIR / "key.json"}
    assert of().pairs("A", "name=value") == {}


@pytest.mark.parametrize("text", ["x", "=1", "x=", "x=1,x=2"])
def test_what_are_no_pairs_is_refused(text):
    with pytest.raises(WrongVariableError) as error:
        of(A=text).pairs("A", "name=value")
    allowed = "name=value, separated by commas, each name once"
    assert said(error) == f"A must be {allowed}, not {text!r}"


def test_a_mail_server_is_one_url_and_its_password_is_never_shown():
    env = Environment(
        {"M": "smtp+tls://robot:p%40ss@mail.example", "N": "smtps://mail.example:26/"}
    )
    server = env.mail("M")
    assert server is not None
    assert (server.host, server.port, server.user, server.password) == (
        "mail.example",
        587,
        "robot",
        "p@ss",
    )
    assert (server.starttls, server.tls, "p@ss" in repr(server)) == (True, False, False)
    other = env.mail("N")
    assert other is not None
    assert (other.port, other.starttls, other.tls) == (26, False, True)
    assert env.mail("O") is None
    for wrong in ("mail.example", "http://mail.example", "smtp://user:secret@", "smtp://h:x/y"):
        with pytest.raises(WrongVariableError, match="M must be a mail server") as refused:
            Environment({"M": wrong}).mail("M")
        assert "secret" not in str(refused.value)
