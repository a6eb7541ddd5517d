"""A file of readings: looked at, corrected, taken whole or not at all, as a command and by hand."""

from __future__ import annotations

import io
import json
import sys

import pytest
from django.core.management import CommandError, call_command

from readings import imports
from readings.errors import FileRefused
from readings.formats import Options
from readings.imports import Decision, content, desk, progress, readings_file
from readings.intake import Submission, submit
from readings.models import ImportFile, ImportPart, MeterReading
from readings.models.import_file import ImportKind, PartKind
from readings.rules import ReadingSource, ReadingStatus
from tests.factories.readings import QUARTER, last_quarter

pytestmark = pytest.mark.django_db

END = last_quarter()


def lines(meter="HOUSE-1", *, count=4, kwh="0.25", since=0):
    """Quarter hours, newest first."""
    return [
        f"{meter},{(END - (since + at + 1) * QUARTER).isoformat()},"
        f"{(END - (since + at) * QUARTER).isoformat()},{kwh}"
        for at in range(count)
    ]


def csv(*rows) -> bytes:
    return "\n".join(["meter,start,end,kwh", *rows, ""]).encode()


def bring(told, *, by=None, **options) -> ImportFile:
    return imports.bring(
        io.BytesIO(told),
        kind=ImportKind.READINGS,
        name="march.csv",
        options=Options(**options),
        by=by,
    )


def looked_at(told, **fields) -> ImportFile:
    imported = bring(told, **fields)
    imports.look(imported.id)
    imported.refresh_from_db()
    return imported


def taken(imported: ImportFile, operator, **decision) -> ImportFile:
    assert imports.confirm(imported, Decision(**decision), by=operator)
    imports.take(imported.id)
    imported.refresh_from_db()
    return imported


def findings(imported) -> list[str]:
    return b"".join(content.stream(imported, PartKind.FINDINGS)).decode().splitlines()


def test_looking_tells_what_taking_does_and_changes_nothing(household, outsider, operator):
    household.reading(period_start=END - QUARTER, period_end=END, kwh_amount="0.25", source="api")
    told = csv(
        *lines(count=3),
        *lines(count=1, since=5, kwh="500"),
        *lines(count=1, since=7, kwh="0"),
        *lines("OUTSIDE-1", count=1),
    )
    imported = looked_at(told, by=operator)

    assert (imported.status, imported.format, imported.name) == ("checked", "csv", "march.csv")
    report = imported.report
    assert {name: report.get(name) for name in ("rows", "new", "duplicates", "not_minted")} == {
        "rows": 6, "new": 5, "duplicates": 1, "not_minted": 1,
    }  # fmt: skip
    assert report["held"] == {"reading_too_large": 1, "no_wallet": 1}
    assert MeterReading.objects.count() == 1

    imported = taken(imported, operator)
    assert imported.status == "applied"
    assert imported.report == report
    readings = MeterReading.objects.filter(import_file=imported)
    assert readings.count() == 5
    assert set(readings.values_list("source", "verification", "submitted_by")) == {
        ("file", "verified", operator.pk)
    }
    assert [line.split(",")[1:3] for line in findings(imported)[1:]] == [
        ["held", "reading_too_large"],
        ["held", "no_wallet"],
    ]
    assert b"".join(content.stream(imported, PartKind.CONTENT)) == told


def test_what_a_gateway_told_by_its_end_is_said_of_a_file_that_tells_both(household, operator):
    """No rule keeps the two apart: a person is told before it is minted twice."""
    for kwh, end in (("0.25", END), ("0", END - QUARTER), ("0.25", END - 9 * QUARTER)):
        submit(Submission("HOUSE-1", kwh, end), source=ReadingSource.API)

    imported = looked_at(csv(*lines(count=4)))
    (note,) = imported.report["notes"]
    assert note.startswith("1 of the new readings")
    assert "minted twice" in note
    assert taken(imported, operator).report["new"] == 4

    told = "\n".join(f"HOUSE-1,{END - at * QUARTER / 2},0.1" for at in (1, 3, 20)).encode()
    (note,) = looked_at(b"meter,timestamp,kwh\n" + told, interval_seconds=300).report["notes"]
    assert note.startswith("2 of the new readings")


def test_one_bad_row_keeps_the_file_out_until_somebody_says_otherwise(household, operator):
    told = csv(*lines(count=2), "HOUSE-1,yesterday,today,1", *lines("NOBODY", count=1))
    imported = looked_at(told)
    assert imported.report["invalid"] == 2
    assert [each["line"] for each in imported.report["problems"]] == [4, 5]
    assert "NOBODY" in imported.report["problems"][1]["detail"]

    assert taken(imported, operator).status == "checked"
    assert "Nothing was imported" in imported.reason
    assert not MeterReading.objects.exists()

    imported = taken(imported, operator, skip_invalid=True)
    assert imported.status == "applied"
    assert MeterReading.objects.count() == 2
    assert len(findings(imported)) == 3

    again = looked_at(told)
    assert (again.report["duplicates"], again.report["invalid"]) == (2, 2)
    assert imports.earlier(again) == imported


def test_corrections_are_shown_old_to_new_and_come_in_only_when_somebody_says_so(
    household, operator
):
    taken(looked_at(csv(*lines(count=3))), operator)
    old = MeterReading.objects.get(period_end=END)
    minted = MeterReading.objects.get(period_end=END - QUARTER)
    MeterReading.objects.filter(id=minted.id).update(status=ReadingStatus.MINTED.value)

    imported = looked_at(csv(*lines(count=2, kwh="0.5"), *lines(count=1, since=2)))
    assert (imported.report["conflicts"], imported.report["duplicates"]) == (2, 1)
    assert [(each["old"], each["new"]) for each in imported.report["changes"]] == [
        ("0.25", "0.5"),
        ("0.25", "0.5"),
    ]
    assert taken(imported, operator).status == "checked"

    imported = taken(imported, operator, corrections=True)
    assert (imported.status, imported.report["corrected"]) == ("applied", 2)
    assert [
        (each.kwh_amount, each.revision, each.status, each.correction_difference)
        for each in MeterReading.objects.filter(import_file=imported).order_by("-period_end")
    ] == [
        (0.5, 2, "pending", None),
        (0.5, 2, "not_minted", 0.25),
    ]
    old.refresh_from_db()
    assert (old.is_current, old.code) == (False, "superseded")


def test_a_file_that_tells_a_period_twice_and_a_reading_in_flight(household, operator):
    flying = household.reading(
        period_start=END - 9 * QUARTER, period_end=END - 8 * QUARTER, status="minting"
    )
    told = csv(*lines(count=1), *lines(count=1, kwh="1"), *lines(count=1, since=8, kwh="0.5"))
    imported = looked_at(told)
    seen = imported.report["problems"]
    imported = taken(imported, operator, corrections=True)
    assert imported.status == "checked"
    assert [each["code"] for each in seen] == ["conflict", "being_minted"]
    assert imported.report["problems"] == seen
    assert "twice" in imported.report["problems"][0]["detail"]
    assert str(flying.id) in imported.report["problems"][1]["detail"]


@pytest.mark.parametrize("chunk", [1, 1_000])
def test_a_file_that_corrects_a_period_twice_is_told_before_anything_is_decided(
    household, operator, monkeypatch, chunk
):
    monkeypatch.setattr(readings_file, "CHUNK", chunk)
    taken(looked_at(csv(*lines(count=2))), operator)
    told = csv(*lines(count=1, kwh="1"), *lines(count=2, kwh="2"), *lines(count=1, kwh="1"))
    imported = looked_at(told)
    assert [each["line"] for each in imported.report["problems"]] == [3]
    assert imported.report["conflicts"] == 2
    assert not MeterReading.objects.filter(revision=2).exists()
    imported = taken(imported, operator, corrections=True, skip_invalid=True)
    # Line 5 says what line 2 said.
    counts = {name: imported.report[name] for name in ("corrected", "duplicates", "invalid")}
    assert counts == {"corrected": 2, "duplicates": 1, "invalid": 1}
    now = MeterReading.objects.current().order_by("-period_end")
    assert list(now.values_list("kwh_amount", "revision")) == [(1, 2), (2, 2)]


def test_a_file_that_needs_an_answer_is_read_again_with_it(household):
    told = b"timestamp,gen_kw,consumption_kw\n" + f"{END.isoformat()},2,1\n".encode()
    imported = looked_at(told)
    said: dict = {}
    for needs, answer in (
        ("meter", {"meter": "HOUSE-1"}),
        ("exported", {"exported": "surplus"}),
        ("interval", {"interval_seconds": 900}),
    ):
        assert (imported.status, imported.needs) == ("refused", needs)
        said |= answer
        assert imports.reread(imported, Options(**said))
        assert imports.work() == 1
        imported.refresh_from_db()
    assert (imported.status, imported.report["new"]) == ("checked", 1)


def test_what_is_under_way_is_left_alone_and_a_file_that_kills_its_workers_is_given_up(household):
    imported = bring(csv(*lines()))
    ImportFile.objects.filter(id=imported.id).update(attempts=desk.MOST_ATTEMPTS)
    assert imports.work() == 0
    imported.refresh_from_db()
    assert imported.status == "refused"
    assert "3 workers ended" in imported.reason


def test_discarded_files_leave_no_bytes(household, operator):
    imported = looked_at(csv(*lines()))
    assert imports.discard(imported)
    assert not ImportPart.objects.filter(file=imported, kind="content").exists()
    assert not imports.discard(imported)
    assert not imports.reread(imported, Options())
    assert not imports.confirm(imported, Decision(), by=operator)


def test_formulas_in_a_file_stay_text(household):
    imported = looked_at(csv("=HYPERLINK(1),2026-01-01T00:00,2026-01-01T00:15,1"))
    assert "'=HYPERLINK(1)" in findings(imported)[1]


def test_what_is_no_text_is_told_legibly(household):
    body = f'"timestamp": "{END.isoformat()}", "kwh": 1'
    told = f'{{"meter_serial": "A\\u0000B", {body}}}\n{{"meter_serial": "\\ud800", {body}}}\n'
    imported = looked_at(told.encode())
    assert [each["subject"] for each in imported.report["problems"]] == ["A\ufffdB", "?"]


def test_files_that_are_too_large_are_not_kept(monkeypatch):
    monkeypatch.setattr(content, "MAX_BYTES", 10)
    with pytest.raises(FileRefused, match="bring it in parts"):
        bring(csv(*lines()))
    assert not ImportFile.objects.exists()


def command(tmp_path, told, *arguments, capsys) -> tuple[int, str, str]:
    file = tmp_path / "april.csv"
    file.write_bytes(told)
    code = 0
    try:
        call_command("import_readings", str(file), *arguments)
    except CommandError as error:
        code = error.returncode
        print(error, file=sys.stderr)  # noqa: T201 - as manage.py does
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_takes_a_file_whole_or_not_at_all(household, tmp_path, capsys):
    good, bad = csv(*lines()), csv(*lines(), "HOUSE-1,,,1")

    code, out, err = command(tmp_path, bad, "--json", capsys=capsys)
    assert code == 1
    assert json.loads(out)["problems"][0]["line"] == 6
    assert "--skip-invalid" in err
    assert not ImportFile.objects.exists()

    code, out, _ = command(tmp_path, good, "--dry-run", "--json", capsys=capsys)
    document = json.loads(out)
    assert (code, document["imported"], document["id"], document["new"]) == (0, False, None, 4)
    assert not MeterReading.objects.exists()

    code, out, _ = command(tmp_path, good, "--json", capsys=capsys)
    document = json.loads(out)
    imported = ImportFile.objects.get()
    assert (code, document["imported"], document["id"]) == (0, True, str(imported.id))
    assert (document["format"], document["already_imported"]) == ("csv", None)
    assert MeterReading.objects.filter(import_file=imported).count() == 4
    assert (imported.brought_by, imported.status) == (None, "applied")

    code, out, err = command(tmp_path, good, capsys=capsys)
    assert code == 0
    assert "4 duplicates" in out
    assert "The same file was imported" in err

    other = csv(*lines(kwh="0.5"))
    code, _, err = command(tmp_path, other, capsys=capsys)
    assert code == 1
    assert "0.25 → 0.5" in err
    code, out, _ = command(tmp_path, other, "--corrections", capsys=capsys)
    assert code == 0
    assert "4 corrected" in out


def test_the_command_says_which_option_a_file_needs(household, tmp_path, capsys):
    for told, option in (
        (b"timestamp,kwh\n", "--meter SERIAL"),
        (b"meter,when,kwh\n", "--map COLUMN=FIELD"),
        (b"meter_id,timestamp,generation_kwh\n", "--exported"),
        (b"meter,start,kwh\n", "--interval SECONDS"),
        (b"%PDF", "a PDF"),
    ):
        code, out, err = command(tmp_path, told, capsys=capsys)
        assert (code, out) == (1, "")
        assert option in err
    german = f"meter;when;kwh\nHOUSE-1;{END:%d.%m.%Y %H:%M};0,5\n".encode()
    code, _, err = command(
        tmp_path, german, "--map", "when=end", "--decimal-comma", "--dates", "dmy", capsys=capsys
    )
    assert code == 0, err
    assert MeterReading.objects.get().period_end == END


@pytest.mark.django_db(transaction=True)
def test_progress_is_seen_from_outside_while_it_is_made(household):
    imported = bring(csv(*lines()))
    assert progress.seen(imported.id) is None
    with progress.telling(imported.id) as tell:
        tell(12_000, 34)
        assert progress.seen(imported.id) == progress.Progress(12_000, 34)
    assert progress.seen(imported.id) is None
