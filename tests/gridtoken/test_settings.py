"""What the settings promise to the outside."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import connection
from psycopg import conninfo

from gridtoken import settings as production
from gridtoken import web


def test_a_url_s_parts_reach_django():
    parts = {"user": "u", "dbname": "d", "host": "/dir", "sslmode": "require"}
    parts["connect_timeout"] = "3"
    database = production._database(parts, settings.DATA_DIR)
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["NAME"], database["USER"], database["HOST"]) == ("d", "u", "/dir")
    # What the URL does not say: a machine that vanished is given up, not waited for.
    options = database["OPTIONS"]
    assert (options.pop("sslmode"), options.pop("connect_timeout")) == ("require", "3")
    assert set(options) == {
        "tcp_user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count",
    }  # fmt: skip
    conninfo.make_conninfo("", **options)  # libpq knows them


def test_only_web_processes_pool_their_connections(monkeypatch):
    database = {"CONN_MAX_AGE": 60, "OPTIONS": {}}
    monkeypatch.setitem(settings.DATABASES, "default", database)
    web.pool_connections()
    assert database == {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": web.POOL}}


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("", "ORM gridtoken"),
        ("redis://:hunter2@127.0.0.1:6390/0", "RedisBroker django_q:gridtoken:q"),
    ],
)
def test_the_queue_lies_where_it_is_told_to(manage, url, broker):
    tell = (
        "from django_q.brokers import get_broker; broker = get_broker();"
        "print(type(broker).__name__, broker.list_key)"
    )
    done = manage("shell", "--no-imports", "-c", tell, Q_BROKER_URL=url)
    assert done.stdout == f"{broker}\n"


@pytest.mark.django_db
def test_the_tests_own_database_forgets_quickly():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('fsync'), current_setting('timezone')")
        assert cursor.fetchone() == ("off", "UTC")


@pytest.mark.django_db
def test_health_paths_are_never_redirected_and_all_else_is(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/healthz").status_code != 301
    assert client.get("/admin/").headers["Location"] == "https://testserver/admin/"


@pytest.mark.django_db
def test_the_front_door_leads_to_the_admin(client):
    assert client.get("/").headers["Location"] == "/admin/"
    assert client.get("/admin/login/").status_code == 200


@pytest.mark.parametrize("door", ["wsgi", "asgi"])
def test_both_doors_pool_and_open_with_all_their_locks(manage, door):
    tell = (
        f"from gridtoken.{door} import application; from django.conf import settings;"
        "print(callable(application), settings.DATABASES['default']['OPTIONS']['pool']);"
        "print(settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME,"
        "      settings.STAFF_MFA_REQUIRED, settings.SESSION_COOKIE_SECURE,"
        "      settings.SECURE_HSTS_SECONDS);"
        "import sys; print('sentry_sdk' in sys.modules)"
    )
    door_opens, locks, told = manage("shell", "--no-imports", "-c", tell).stdout.splitlines()
    assert door_opens == f"True {web.POOL}"
    assert locks == "__Host-sessionid __Host-csrftoken True True 31536000"
    assert told == "False", "without SENTRY_DSN nothing of it is even loaded"


def test_a_database_that_cannot_start_is_an_error_of_the_database(manage, tmp_path):
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")
    done = manage("migrate", "--check")
    assert done.returncode == 1
    assert "(gridtoken.E004) The database does not answer: PostgreSQL in" in done.stderr
    assert "Traceback" not in done.stderr
