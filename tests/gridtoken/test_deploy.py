"""What lies in ``deploy/`` names commands, settings and files that are there, and stops in time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from django.db import connection
from django.urls import resolve

from gridtoken.embedded import postgres
from gridtoken.env import BASE_DIR
from gridtoken.settings import env
from minting.watchdog.sentinel import LONGEST_STOP
from readings.formats import MAX_BYTES

DEPLOY = BASE_DIR / "deploy"
UNITS = sorted(path for path in (DEPLOY / "systemd").rglob("gridtoken*") if path.is_file())
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
GUNICORN = (BASE_DIR / "gunicorn.conf.py").read_text()
PAGE = (BASE_DIR / "docs" / "deployment.md").read_text()
HOME = "/opt/gridtoken/current/"
OTHERS_WORDS = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PGSERVICE", "PGSERVICEFILE"}
"""Variables that mean what they always mean."""
BESIDES = {
    "BIND", "WEB_CONCURRENCY", "ENV_FILE", "BACKUP_DIR", "BACKUP_KEEP_DAYS", "JOURNAL_COPY_DIR",
    "GRIDTOKEN_HOST", "GRIDTOKEN_VERSION",
}  # fmt: skip
"""Ours, and read by others than ``gridtoken.settings``: the page on deployment explains them."""


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.+)$", unit.read_text(), re.MULTILINE)


def words_of(service: dict) -> str:
    return " ".join(service.get("command", []))


def variables() -> set[str]:
    """Every variable that a file of ``deploy/`` sets or reads."""
    found: set[str] = set()
    for unit in UNITS:
        for line in values(unit, "Environment"):
            found |= {word.partition("=")[0] for word in line.split()}
    for example in DEPLOY.rglob("*.env.example"):
        found |= set(re.findall(r"^([A-Z_]+)=", example.read_text(), re.MULTILINE))
    for name in ("web", "worker", "migrate"):
        found |= COMPOSE["services"][name]["environment"].keys()
    found |= set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose" / "compose.yaml").read_text()))
    found |= set(re.findall(r"^(?:ENV|   ) ([A-Z_]+)=", DOCKERFILE, re.MULTILINE))
    found |= set(re.findall(r"\$\{?([A-Z_]{2,})", (DEPLOY / "backup").read_text()))
    return found | set(re.findall(r"env ([A-Z_]+)=", (DEPLOY / "manage").read_text()))


def test_every_variable_is_one_of_ours_and_every_other_is_explained():
    assert variables() - OTHERS_WORDS - BESIDES <= env.declared.keys()
    assert {"DJANGO_SECRET_KEY", "MINT_AUTHORITY_KEYPAIR", *BESIDES - {"BIND"}} <= variables()
    assert set(re.findall(r"`([A-Z_]+)`", PAGE)) >= BESIDES


def test_units_start_what_is_there():
    started = {unit.name: values(unit, "ExecStart") for unit in UNITS}
    for line in [line for lines in started.values() for line in lines]:
        assert line.startswith(HOME), line
        program, *words = line.removeprefix(HOME).split()
        if program == ".venv/bin/python":
            assert words[0] == "manage.py"
            assert words[1] in get_commands(), line
        elif program == ".venv/bin/gunicorn":
            assert not words  # gunicorn.conf.py says it all
        else:
            assert (BASE_DIR / program).stat().st_mode & 0o111, line
    assert started["gridtoken-worker@.service"] == [f"{HOME}.venv/bin/python manage.py qcluster"]
    # The socket listens where gunicorn would, and where nginx looks.
    [address] = values(DEPLOY / "systemd" / "gridtoken-web.socket", "ListenStream")
    assert f'"BIND", "{address}"' in GUNICORN
    assert f"proxy_pass http://{address};" in (DEPLOY / "nginx" / "gridtoken.conf").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong(tmp_path):
    for unit in UNITS:
        copy = tmp_path / unit.relative_to(DEPLOY / "systemd")
        copy.parent.mkdir(exist_ok=True)
        # Where it looks for the programs, there are some.
        text = unit.read_text().replace(f"{HOME}.venv", f"{BASE_DIR}/.venv")
        copy.write_text(text.replace(HOME, f"{BASE_DIR}/"))
    names = [unit.name.replace("@.", "@1.") for unit in UNITS if unit.suffix != ".conf"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", *names],
        cwd=tmp_path,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_whatever_stops_us_waits_for_long_enough():
    patience = re.search(r"^graceful_timeout = (\d+)$", GUNICORN, re.MULTILINE)
    longest = max(LONGEST_STOP, int(patience[1]))
    for name in ("gridtoken-web.service", "gridtoken-worker@.service"):
        unit = DEPLOY / "systemd" / name
        assert values(unit, "KillMode") == ["mixed"]
        assert int(values(unit, "TimeoutStopSec")[0]) > longest
    for name in ("web", "worker"):
        assert int(COMPOSE["services"][name]["stop_grace_period"].removesuffix("s")) > longest


def test_compose_starts_what_is_there_and_shows_the_key_to_workers_alone():
    services = COMPOSE["services"]
    for service in services.values():
        for command in re.findall(r"manage\.py,? (\w+)", words_of(service)):
            assert command in get_commands()
        assert set(service.get("depends_on", {})) <= services.keys()
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / "compose" / source).is_file()
    assert words_of(services["worker"]) == "python manage.py qcluster"
    holders = {
        name for name, each in services.items() if "authority.json" in each.get("secrets", [])
    }
    assert holders == {"worker"}
    [front] = COMPOSE["networks"]["front"]["ipam"]["config"]
    assert ip_network(front["subnet"]) == ip_network(
        services["web"]["environment"]["DJANGO_TRUSTED_PROXY"]
    )
    probe = " ".join(services["web"]["healthcheck"]["test"])
    assert resolve(re.search(r"http://127\.0\.0\.1:8000(/\w+)", probe)[1]).url_name == "healthz"


def test_the_image_holds_what_runs():
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE))
    files = {word for line in copied for word in line.split()}
    assert all((BASE_DIR / name).exists() for name in files)
    ours = {"gridtoken", "minting", "readings", "templates", "manage.py", "gunicorn.conf.py"}
    assert ours <= files
    let_through = re.findall(
        r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE
    )
    assert {name.partition("/")[0] for name in files} == set(let_through)


def test_proxies_say_what_is_read_and_let_files_through():
    nginx = (DEPLOY / "nginx" / "gridtoken.conf").read_text()
    said = dict(re.findall(r"proxy_set_header (\S+) (\S+);", nginx))
    assert said["X-Forwarded-For"] == "$proxy_add_x_forwarded_for"
    assert said["X-Forwarded-Host"] == "$host" == said["Host"]
    assert said["X-Forwarded-Proto"] == "$scheme"
    caddy = (DEPLOY / "compose" / "Caddyfile").read_text()
    # A form's own bytes come on top of the file's.
    assert int(re.search(r"client_max_body_size (\d+)m", nginx)[1]) * 1024**2 > MAX_BYTES
    assert int(re.search(r"max_size (\d+)MiB", caddy)[1]) * 1024**2 > MAX_BYTES


def test_no_web_process_can_take_the_journal_away():
    """Whoever may write a folder may rename what lies in it, and the group may write DATA_DIR."""
    systemd = DEPLOY / "systemd"
    example = (DEPLOY / "gridtoken.env.example").read_text()
    [journal] = re.findall(r"^MINT_JOURNAL_DIR=(.+)$", example, re.MULTILINE)
    folders = re.findall(r"^d (\S+) (\d+) ", (systemd / "tmpfiles.conf").read_text(), re.MULTILINE)
    modes = {Path(name): int(mode, 8) for name, mode in folders}
    assert modes[Path(journal)] == 0o700
    assert not any(mode & 0o022 for path, mode in modes.items() if path in Path(journal).parents)
    # Nor does its unit let it.
    writers = {unit.name for unit in UNITS if journal in " ".join(values(unit, "ReadWritePaths"))}
    assert writers == {"gridtoken-worker@.service"}
    [copied] = values(systemd / "gridtoken-journal.service", "Environment")
    assert f"MINT_JOURNAL_DIR={journal} " in copied


def backup(what: str, path: str = "", **environment: str) -> list[str]:
    """The files that it says it wrote."""
    done = subprocess.run(
        [DEPLOY / "backup", what],
        env={"PATH": f"{path}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_journal_is_copied_where_it_grew_and_kept_where_it_went(tmp_path):
    journal, copies = tmp_path / "journal", tmp_path / "copies"
    journal.mkdir()
    places = {"MINT_JOURNAL_DIR": str(journal), "JOURNAL_COPY_DIR": str(copies)}
    old, today = (journal / f"journal-2026-11-{day}.jsonl" for day in (23, 24))
    old.write_text("one\n")
    today.write_text("two\n")
    first = [Path(line) for line in backup("journal", **places)]
    assert [(path.name, path.read_text()) for path in first] == [
        (old.name, "one\n"),
        (today.name, "two\n"),
    ]
    assert backup("journal", **places) == []

    today.write_text("two\nthree\n")
    old.unlink()
    assert backup("journal", **places) == [str(first[1])]
    assert [path.read_text() for path in first] == ["one\n", "two\nthree\n"]
    assert {path.stat().st_mode & 0o777 for path in first} == {0o600}


@pytest.mark.django_db
def test_the_database_is_dumped_whole_and_what_is_too_old_goes(tmp_path):
    parts = connection.get_connection_params()
    libpq = {"PGHOST": parts["host"], "PGUSER": parts["user"], "PGDATABASE": parts["dbname"]}
    libpq |= {"PGPORT": str(parts.get("port", 5432)), "PGPASSWORD": parts.get("password", "")}
    outdated = tmp_path / "gridtoken-20260101T000000Z.dump"
    outdated.touch()
    os.utime(outdated, (0, 0))
    binaries = str(postgres._binaries())

    [written] = backup("database", binaries, BACKUP_DIR=str(tmp_path), **libpq)
    assert [str(path) for path in tmp_path.iterdir()] == [written]
    listed = subprocess.check_output([f"{binaries}/pg_restore", "--list", written], text=True)
    assert "TABLE DATA public minting_minttransaction" in listed


@pytest.mark.parametrize("page", ["deployment.md", "runbook.md"])
def test_what_a_page_tells_people_to_type_is_there(page):
    text = (BASE_DIR / "docs" / page).read_text()
    typed = re.findall(
        r"(?:^|`|&& |manage\.py )(?:gridtoken |manage\.py )([a-z_]+)([^`\n&|#]*)",
        text,
        re.MULTILINE,
    )
    assert len(typed) > 5
    for name, rest in typed:
        assert name in get_commands(), name
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        known = {option for action in parser._actions for option in action.option_strings}
        assert set(re.findall(r"(--[a-z][a-z-]*)", rest)) <= known, f"{name}{rest}"
    units = {unit.name.removesuffix(".service") for unit in UNITS}
    for unit in re.findall(r"\b(gridtoken-[a-z]+(?:@|\.[a-z]+)?)", text):
        assert unit.removesuffix(".service") in units, unit
