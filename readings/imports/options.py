"""``formats.Options`` as JSON, beside the file that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from readings.formats import DateOrder, Exported, Format, Options


def options_to_json(options: Options) -> dict[str, Any]:
    """Only what was said."""
    silent = asdict(Options())
    return {name: value for name, value in asdict(options).items() if value != silent[name]}


def options_of(stored: Mapping[str, Any]) -> Options:
    """From ``options_to_json``."""
    values = dict(stored)
    for name, kind in (("format", Format), ("exported", Exported), ("dates", DateOrder)):
        if values.get(name):
            values[name] = kind(values[name])
    return Options(**values)
