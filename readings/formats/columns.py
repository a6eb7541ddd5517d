"""Which column of a table tells what: by its name, or because a person says so. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from readings.errors import AnswerNeeded, FileRefused
from readings.formats.shapes import MAX_COLUMNS

NAMES: Mapping[str, tuple[str, ...]] = {
    "meter": (
        "meter", "meter_serial", "meter_id", "serial", "serial_number", "meter_serial_number",
        "device_id",
    ),
    "start": ("start", "period_start", "interval_start", "start_time", "from"),
    "end": ("end", "period_end", "interval_end", "end_time", "to"),
    "timestamp": ("timestamp", "reading_timestamp", "datetime", "date_time", "time"),
    "interval": ("interval", "interval_seconds"),
    "exported_wh": ("1.1.2.8.0.255", "export_wh", "exported_wh", "energy_exported_wh"),
    "exported": (
        "surplus_energy", "kwh_amount", "kwh", "export_kwh", "exported_kwh", "energy_exported",
        "energy_exported_kwh", "grid_export_kwh", "surplus_energy_kwh",
    ),
    "exported_kw": ("export_kw", "exported_kw"),
    "generated": ("energy_generated", "energy_generated_kwh", "generation_kwh", "generated_kwh"),
    "generated_kw": ("generation_kw", "gen_kw", "power_generated", "generated_kw"),
    "consumed": ("energy_consumed", "energy_consumed_kwh", "consumption_kwh", "consumed_kwh"),
    "consumed_kw": (
        "consumption_kw", "cons_kw", "power_consumed", "consumed_kw", "load_kw",
    ),
    "external_id": ("external_id", "reading_id"),
    "signature": ("meter_signature", "signature"),
}  # fmt: skip
"""Field of a reading → the names that a column of it has, best first, in small letters."""

FIELDS = tuple(NAMES)
"""What a column can be said to tell."""

SKIP = "skip"
"""What a column is said to tell that counts for nothing."""

_EXPORTED = ("exported_wh", "exported", "exported_kw")
_COUNTER = re.compile(
    r"cumul|total|counter|lifetime|register|\btotaliser|odometer|(^|[^0-9])[12]\.8\.[0-9]", re.ASCII
)
_INTERVALS = {name for names in NAMES.values() for name in names}


def normal(name: object) -> str:
    """A column's name without what people vary: capitals, blanks, hyphens, units in brackets.

    >>> normal(" Generation (kWh) ")
    'generation_kwh'
    """
    text = str(name if name is not None else "").strip().strip("\ufeff").lower()
    return re.sub(r"[\s\-/()\[\]]+", "_", text).strip("_")


def places(header: Sequence[object], mapping: Mapping[str, str]) -> dict[str, int]:
    """Field → number of its column.

    Args:
        header: The names in the file.
        mapping: What a person says of them: name in the file → field, or ``skip``.

    Raises:
        FileRefused: A column twice, a counter's register, or one that is not there.
        AnswerNeeded: Nothing tells when, or how much.
    """
    found = located(header, mapping, NAMES)
    _check_sense(found, [normal(name) for name in header])
    return found


def located(
    header: Sequence[object], mapping: Mapping[str, str], known: Mapping[str, tuple[str, ...]]
) -> dict[str, int]:
    """The same for any table, without asking whether it makes sense.

    Args:
        header: The names in the file.
        mapping: What a person says of them.
        known: Field → the names that go for it.

    Raises:
        FileRefused: A column twice, or one that is not there.
    """
    if len(header) > MAX_COLUMNS:
        raise FileRefused(f"There are more than {MAX_COLUMNS} columns")
    names = [normal(name) for name in header]
    said = {normal(name): field for name, field in mapping.items()}
    _check_mapping(names, mapping, said, known)
    found = {field: names.index(name) for name, field in said.items() if field != SKIP}
    for field, spellings in known.items():
        if field not in found:
            free = [name for name in spellings if name in names and name not in said]
            if free:
                found[field] = _only(names, free[0])
    return found


def guessed(
    header: Sequence[object],
    mapping: Mapping[str, str],
    known: Mapping[str, tuple[str, ...]] = NAMES,
) -> list[str]:
    """For each column what it is taken to tell; empty where its name says nothing."""
    said = {normal(name): field for name, field in mapping.items()}
    by_name = {name: field for field, names in known.items() for name in names}
    return [said.get(name, by_name.get(name, "")) for name in map(normal, header)]


def _check_mapping(
    names: Sequence[str],
    mapping: Mapping[str, str],
    said: Mapping[str, str],
    known: Mapping[str, tuple[str, ...]],
) -> None:
    for name, field in mapping.items():
        if field not in (*known, SKIP):
            raise FileRefused(f"{field!r} is nothing that a column tells: {', '.join(known)}")
        if normal(name) not in names:
            raise FileRefused(f"There is no column {name!r}: {_list(names)}")
        _only(names, normal(name))
    fields = [field for field in said.values() if field != SKIP]
    for field in fields:
        if fields.count(field) > 1:
            raise FileRefused(f"Two columns are said to tell {field!r}")


def _only(names: Sequence[str], name: str) -> int:
    if names.count(name) > 1:
        raise FileRefused(f"The column {name!r} is there twice")
    return names.index(name)


def _check_sense(found: Mapping[str, int], names: Sequence[str]) -> None:
    tells_energy = any(field in found for field in (*_EXPORTED, "generated", "generated_kw"))
    if not tells_energy:
        counters = [name for name in names if name not in _INTERVALS and _COUNTER.search(name)]
        if counters:
            raise FileRefused(
                f"{_list(counters)}: a counter's standing is no energy of an interval. "
                "Bring the energy of each interval"
            )
        raise AnswerNeeded("mapping", f"No column tells the exported energy: {_list(names)}")
    if not found.keys() & {"timestamp", "end"} and not {"start", "interval"} <= found.keys():
        if "start" in found:
            return  # the interval may be said
        raise AnswerNeeded("mapping", f"No column tells the time: {_list(names)}")


def _list(names: Sequence[str]) -> str:
    shown = [name for name in names if name][:12]
    return ", ".join(shown) or "the first line is empty"
