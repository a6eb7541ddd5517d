"""A registry that is brought: shown old to new, taken whole, by the rules of the admin."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from auditlog.models import LogEntry
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from readings import imports, intake
from readings.errors import ReadingError
from readings.formats import Options
from readings.formats.registry import Entry, read_registry
from readings.imports import Decision, registry_file
from readings.intake.registering import register_many
from readings.models import (
    ImportFile,
    Meter,
    MeterAssignment,
    MeterReading,
    Owner,
    Wallet,
    WalletChange,
)
from readings.models.import_file import ImportKind
from tests.factories.readings import (
    MeterFactory,
    MeterReadingFactory,
    OwnerFactory,
    address,
)
from tests.readings.formats.files import xlsx_file

pytestmark = pytest.mark.django_db

HEADER = (
    "user_id,name,email,wallet_address,meter_serial,meter_name,location,interval_seconds,held_from"
)


def csv(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()


def looked_at(told: bytes) -> ImportFile:
    imported = imports.bring(
        io.BytesIO(told), kind=ImportKind.REGISTRY, name="registry.csv", options=Options()
    )
    imports.look(imported.id)
    imported.refresh_from_db()
    return imported


def taken(told: bytes, operator, **decision) -> ImportFile:
    imported = looked_at(told)
    assert imports.confirm(imported, Decision(**decision), by=operator)
    imports.take(imported.id)
    imported.refresh_from_db()
    return imported


def test_in_parts_it_is_told_and_done_as_in_one(monkeypatch, operator):
    taken(csv(f"malee,Malee,,{address('malee')},M-1,,,900,2025-01-01"), operator)
    told = csv(
        f"anong,Anong,,{address('anong')},A-1,,,900,2025-01-01",
        f"malee,,,{address('new')},M-2,,,,2025-01-01",
        "anong,,anong@example.com,,A-2,,,,2025-01-01",  # more of an owner that is new
        "anong,Somebody,,,A-3,,,,2025-01-01",  # told otherwise two parts before
        ",,,,A-1,,Bangkok,,",
        "malee,,,,A-1,,,,2025-06-01",  # changes hands
        "malee,,malee@example.com,,,,,,",
        f"anong,,,{address('anong')},A-2,,,,2025-01-01",
    )
    in_one = looked_at(told).report
    monkeypatch.setattr(registry_file, "CHUNK", 1)
    assert looked_at(told).report == in_one
    assert [each["line"] for each in in_one["problems"]] == [5]
    assert [each["what"] for each in in_one["changes"]] == ["wallet address", "owner email"]
    counts = {name: in_one[name] for name in ("rows", "owners", "meters", "assignments", "changed")}
    assert counts == {"rows": 8, "owners": 1, "meters": 3, "assignments": 4, "changed": 1}
    imported = taken(told, operator, skip_invalid=True)
    assert imported.report == in_one
    assert Owner.objects.get(user_id="anong").email == "anong@example.com"
    assert MeterAssignment.objects.filter(meter__serial="A-1").count() == 2


def test_a_new_registry_and_the_same_again(operator):
    told = csv(
        f"malee,Malee Srisuk,malee@example.com,{address('malee')},M-1,Roof,Bangkok,900,2025-01-01",
        f"malee,,,{address('malee')},M-2,,,300,2025-01-01",
        "somchai,Somchai,,,M-3,,,,2025-02-01T07:00+07:00",
        ",,,,M-4,Spare,,,",
    )
    imported = taken(told, operator)
    counts = {
        name: imported.report[name]
        for name in ("rows", "owners", "wallets", "meters", "assignments", "changed")
    }
    assert imported.status == "applied"
    assert counts == {
        "rows": 4, "owners": 2, "wallets": 1, "meters": 4, "assignments": 3, "changed": 0,
    }  # fmt: skip
    assert Wallet.objects.get().owner.user_id == "malee"
    assert Meter.objects.get(serial="M-2").interval_seconds == 300
    assert MeterAssignment.objects.get(meter__serial="M-3").starts_at == datetime(
        2025, 2, 1, tzinfo=UTC
    )
    again = taken(told, operator)
    assert (again.report["duplicates"], again.report["changes"]) == (4, [])


def test_changes_are_shown_old_to_new_and_let_readings_go(household, outsider, operator):
    held = outsider.reading(status="held", code="no_wallet")
    orphan_meter = MeterFactory(serial="ORPHAN")
    orphan = MeterReadingFactory(meter=orphan_meter, status="held", code="no_wallet")
    MeterReading.objects.filter(id=orphan.id).update(owner=None)
    told = csv(
        f"anong,Anong S.,,{address('new')},HOUSE-1,,Nonthaburi,,",
        f"niran,,,{address('niran')},,,,,",
        "anong,,,,ORPHAN,,,,2025-01-01",
    )
    imported = looked_at(told)
    assert [(each["what"], each["old"], each["new"]) for each in imported.report["changes"]] == [
        ("owner name", "Anong Srisuk", "Anong S."),
        ("wallet address", household.wallet.address, address("new")),
        ("meter location", "", "Nonthaburi"),
        ("wallet address", "", address("niran")),
        ("meter assignment owner", "", "Anong S. (anong)"),
    ]
    assert Wallet.objects.current().get(owner=household.owner) == household.wallet

    imported = taken(told, operator)
    assert imported.report["released"] == 2
    assert Wallet.objects.current().get(owner=household.owner).address == address("new")
    household.wallet.refresh_from_db()
    assert household.wallet.retired_at is not None
    for reading in (held, orphan):
        reading.refresh_from_db()
        assert reading.status == "pending"
    assert orphan.owner == household.owner


def test_with_four_eyes_on_changed_wallets_are_asked_for(
    household, outsider, solar_farm, operator, settings
):
    settings.APPROVAL_ABOVE_KWH = 1
    standing = intake.register_wallet(owner=solar_farm.owner, address=address("before"))
    held = outsider.reading(status="held", code="no_wallet")
    told = csv(
        f"anong,Anong S.,,{address('new')},HOUSE-1,,,,",
        f"anong,,,{address('new')},HOUSE-2,,,,2025-01-01",
        f"niran,,,{address('niran')},,,,,",
        f"farm,,,{address('field')},,,,,",
    )
    imported = looked_at(told)
    assert [
        (each["outcome"], each["old"], each["new"], each["detail"])
        for each in imported.report["changes"]
        if each["what"].startswith("wallet")
    ] == [
        ("waits", household.wallet.address, address("new"), "waits for a second person"),
        ("changed", "", address("niran"), ""),
        ("changed", "proposed", "withdrawn", ""),
        ("waits", solar_farm.wallet.address, address("field"), "waits for a second person"),
    ]
    assert WalletChange.objects.get() == standing  # looking asked for nothing

    imported = taken(told, operator)
    assert (imported.report["waiting_wallets"], imported.report["wallets"]) == (2, 1)
    held.refresh_from_db()
    assert held.status == "pending"  # a first wallet is no change
    for resident in (household, solar_farm):
        assert Wallet.objects.current().get(owner=resident.owner) == resident.wallet
    household.owner.refresh_from_db()
    assert household.owner.name == "Anong S."
    standing.refresh_from_db()
    assert (standing.status, standing.decided_by) == ("withdrawn", operator)
    asked = WalletChange.objects.proposed()
    assert {(each.address, each.way, each.proposed_by, each.import_file) for each in asked} == {
        (address(name), "import", operator, imported) for name in ("new", "field")
    }
    entry = LogEntry.objects.get_for_object(asked.get(owner=household.owner)).get()
    assert (entry.actor, entry.changes["address"]) == (
        *(operator, [household.wallet.address, address("new")]),
    )
    # The same again asks for nothing more; off, it is registered, and nothing waits any more.
    assert taken(told, operator).report["duplicates"] == 4
    settings.APPROVAL_ABOVE_KWH = None
    assert taken(told, operator).report["wallets"] == 2
    assert not WalletChange.objects.proposed().exists()
    assert Wallet.objects.current().get(owner=household.owner).address == address("new")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("x,,,,,,,,", "is new and needs a name"),
        ("x,X,not mail,,,,,,", "no address of mail"),
        ("x,X,,abc,,,,,", "32 bytes in base58"),
        ("x,X,,,M,,,,", "From when x holds meter M is not said"),
        (",X,,,M,,,,", "is not said (user_id)"),
        ("x,X,,,,Roof,,,", "is not said (meter_serial)"),
        ("x,X,,,M,,,0,2025-01-01", "An interval lasts"),
        ("x,X,,,M,,,,yesterday", "not a date and time"),
        ("anong,Somebody,,,,,,,\nanong,Else,,,,,,,", "line 2 tells another name"),
        ("niran,,,,HOUSE-1,,,,2023-01-01", "has another owner"),
        (f"{'x' * 65},X,,,,,,,", "longer than 64"),
    ],
)
def test_wrong_lines_say_what_is_wrong(household, outsider, line, sentence):
    report = looked_at(csv(line)).report
    assert report["invalid"] == 1
    assert sentence in report["problems"][0]["detail"]


def test_a_meter_changes_hands(household, outsider, operator):
    taken(csv("niran,,,,HOUSE-1,,,,2025-06-01"), operator)
    first, second = household.meter.assignments.order_by("starts_at")
    assert first.ends_at == second.starts_at == datetime(2025, 6, 1, tzinfo=UTC)
    assert second.owner == outsider.owner


def test_a_workbook_and_a_file_that_is_no_registry(tmp_path, capsys):
    since = datetime(2025, 1, 1)  # noqa: DTZ001 - as sheets keep it
    rows: list[list] = [
        ["Owner id", "Name", "Meter serial", "Held from"],
        ["0123", "Malee", 4711, since],
    ]
    entries = list(read_registry(io.BytesIO(xlsx_file(rows)), Options()))
    assert [(each.user_id, each.serial) for each in entries] == [("0123", "4711")]

    file = tmp_path / "registry.xlsx"
    file.write_bytes(xlsx_file(rows))
    call_command("import_registry", str(file), "--dry-run", "--json")
    document = json.loads(capsys.readouterr().out)
    assert (document["owners"], document["imported"]) == (1, False)
    assert not Owner.objects.exists()
    call_command("import_registry", str(file))
    assert "1 new owners" in capsys.readouterr().out
    assert MeterAssignment.objects.get().owner.user_id == "0123"
    file.write_bytes(csv("x,,,,,,,,"))
    with pytest.raises(CommandError, match="--skip-invalid"):
        call_command("import_registry", str(file))
    file.write_bytes(b"temperature\n1\n")
    with pytest.raises(CommandError, match="--map COLUMN=FIELD"):
        call_command("import_registry", str(file))


def test_what_is_written_in_bulk_is_in_the_change_log(household, operator):
    entries = LogEntry.objects
    entries.all().delete()
    imported = taken(csv(f"anong,Anong S.,,{address('new')},,,,,"), operator)
    owner = entries.get(content_type__model="owner")
    assert owner.changes == {"name": ["Anong Srisuk", "Anong S."]}
    assert (owner.actor, owner.additional_data["import"]) == (operator, str(imported.id))
    wallets = entries.filter(content_type__model="wallet")
    assert {next(iter(each.changes)) for each in wallets} == {"address", "retired_at"}


DAYS = st.integers(0, 4).map(lambda day: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day))
ASKED = st.lists(
    st.builds(
        Entry,
        st.just(2),
        user_id=st.sampled_from(["a", "b"]),
        serial=st.sampled_from(["M-1", "M-2"]),
        held_from=DAYS,
        held_until=st.none() | DAYS.map(lambda day: day + timedelta(days=2)),
    ),
    max_size=6,
)


class TestBulk(TestCase):
    """In bulk as one by one."""

    @given(ASKED)
    @settings(max_examples=40)
    def test_holders_in_bulk_are_as_one_by_one(self, entries):
        kinds = {}
        for way in ("single", "bulk"):
            owners = {name: OwnerFactory(user_id=f"{way}-{name}") for name in "ab"}
            meters = {name: MeterFactory(serial=f"{way}-{name}") for name in ("M-1", "M-2")}
            if way == "single":
                for entry in entries:
                    _assign_alone(meters[entry.serial], owners[entry.user_id], entry)
            else:
                register_many([_renamed(entry, way) for entry in entries])
            kinds[way] = sorted(
                (
                    each.meter.serial.removeprefix(f"{way}-"),
                    each.owner.user_id.removeprefix(f"{way}-"),
                    each.starts_at,
                    str(each.ends_at),
                )
                for each in MeterAssignment.objects.filter(meter__in=meters.values())
            )
        assert kinds["single"] == kinds["bulk"]


def _assign_alone(meter, owner, entry):
    try:
        intake.assign_meter(
            meter=meter, owner=owner, starts_at=entry.held_from, ends_at=entry.held_until
        )
    except ReadingError:
        return


def _renamed(entry, way):
    return Entry(
        entry.line,
        user_id=f"{way}-{entry.user_id}",
        serial=f"{way}-{entry.serial}",
        held_from=entry.held_from,
        held_until=entry.held_until,
    )


def test_a_large_registry_takes_a_constant_number_of_statements(
    operator, django_assert_max_num_queries
):
    lines = [f"u{n},Owner {n},,{address(n % 50)},M{n},,,,2025-01-01" for n in range(1_500)]
    imported = looked_at(csv(*lines))
    imports.confirm(imported, Decision(), by=operator)
    with django_assert_max_num_queries(60):
        imports.take(imported.id)
    assert Meter.objects.count() == 1_500
