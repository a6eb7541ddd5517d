"""What a person says of a file: which it is, how to read it, what becomes of odd rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from readings.candidate import LONGEST_INTERVAL, LONGEST_SERIAL
from readings.formats import DateOrder, Exported, Format, Options, columns, registry
from readings.imports import Decision, Report

NOTHING = ""
_FIELD_WORDS = {
    "meter": "Meter's serial",
    "start": "Start of the period",
    "end": "End of the period",
    "timestamp": "Time (the period's end)",
    "interval": "Length in seconds",
    "exported": "Exported, kWh",
    "exported_wh": "Exported, Wh",
    "exported_kw": "Exported, kW",
    "generated": "Generated, kWh",
    "generated_kw": "Generated, kW",
    "consumed": "Consumed, kWh",
    "consumed_kw": "Consumed, kW",
    "external_id": "The sender's id",
    "signature": "The meter's signature",
}


class UploadForm(forms.Form):
    """The file; all else is told by its content, or asked for afterwards."""

    file = forms.FileField(
        allow_empty_file=True,
        widget=UnfoldAdminFileFieldWidget(),
    )


ASKED = {
    "meter": "meter",
    "interval": "interval_seconds",
    "exported": "exported",
    "mapping": "column_0",
}
"""What a file may not say → the field that does."""


class OptionsForm(forms.Form):
    """How to read a file of readings, where that is not what was found."""

    known: ClassVar[Mapping[str, tuple[str, ...]]] = columns.NAMES
    words: ClassVar[Mapping[str, str]] = _FIELD_WORDS

    format = forms.ChoiceField(
        required=False,
        choices=[("", "By its content"), *((each.value, each.label) for each in Format)],
        widget=UnfoldAdminSelectWidget(),
    )
    meter = forms.CharField(
        required=False,
        max_length=LONGEST_SERIAL,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Serial, where the file names none.",
    )
    interval_seconds = forms.IntegerField(
        label="Interval in seconds",
        required=False,
        min_value=1,
        max_value=LONGEST_INTERVAL,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="900 is a quarter of an hour. For periods told by one time; power (kW) needs it.",
    )
    exported = forms.ChoiceField(
        label="What counts as exported",
        required=False,
        choices=[
            ("", "What the file says was exported"),
            (Exported.SURPLUS.value, "Generated less consumed, where that is above zero"),
            (Exported.GENERATED.value, "All that was generated"),
        ],
        widget=UnfoldAdminSelectWidget(),
        help_text="Asked only where no column tells exported energy.",
    )
    timezone = forms.CharField(
        label="Time zone",
        required=False,
        max_length=64,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "UTC"}),
        help_text="Of times without an offset, for example Asia/Bangkok.",
    )
    dates = forms.ChoiceField(
        required=False,
        choices=[
            (DateOrder.ISO.value, "2026-01-31"),
            (DateOrder.DAY_FIRST.value, "31.01.2026: the day comes first"),
            (DateOrder.MONTH_FIRST.value, "01/31/2026: the month comes first"),
        ],
        widget=UnfoldAdminSelectWidget(),
    )
    decimal_comma = forms.BooleanField(
        label="Decimal comma: 1,5 is one and a half",
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
    )
    sheet = forms.CharField(
        required=False,
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Of a workbook, where it is not the first.",
    )

    def __init__(self, data: Any, options: Options, header: Sequence[str]) -> None:
        super().__init__(data, initial=_initial(options))
        self._header = header
        for number, (name, field) in enumerate(
            zip(header, columns.guessed(header, options.mapping, self.known), strict=True)
        ):
            self.fields[f"column_{number}"] = forms.ChoiceField(
                label=name or f"Column {number + 1}",
                required=False,
                choices=[(NOTHING, "Nothing"), *self.words.items()],
                initial=NOTHING if field == columns.SKIP else field,
                widget=UnfoldAdminSelectWidget(),
            )

    def ask(self, option: str) -> None:
        """Puts the cursor where a person has to say something; nowhere for an empty option."""
        field = self.fields.get(ASKED.get(option, ""))
        if field is not None:
            field.widget.attrs["autofocus"] = True

    @property
    def main(self) -> list[forms.BoundField]:
        """Fields that any file has."""
        return [field for field in self if not field.name.startswith("column_")]

    @property
    def mapped(self) -> list[forms.BoundField]:
        """One for each column of a table."""
        return [field for field in self if field.name.startswith("column_")]

    def options(self) -> Options:
        """What was said; call when valid."""
        said = self.cleaned_data
        return Options(
            format=Format(said["format"]) if said.get("format") else None,
            meter=said.get("meter", "").strip(),
            interval_seconds=said.get("interval_seconds"),
            exported=Exported(said["exported"]) if said.get("exported") else None,
            mapping=self._mapping(said),
            decimal_comma=bool(said.get("decimal_comma")),
            timezone=said["timezone"].strip() or "UTC",
            dates=DateOrder(said["dates"] or DateOrder.ISO),
            sheet=said["sheet"].strip(),
        )

    def _mapping(self, said: Mapping[str, Any]) -> dict[str, str]:
        """Only what is not what the names say anyway."""
        mapping = {}
        for number, (name, field) in enumerate(
            zip(self._header, columns.guessed(self._header, {}, self.known), strict=True)
        ):
            chosen = said.get(f"column_{number}") or NOTHING
            if name and chosen != field:
                mapping[name] = chosen or columns.SKIP
        return mapping


def _initial(options: Options) -> dict[str, Any]:
    return {
        name: getattr(options, name)
        for name in ("format", "meter", "interval_seconds", "exported", "dates", "decimal_comma")
    } | {
        "timezone": "" if options.timezone == "UTC" else options.timezone,
        "sheet": options.sheet,
    }


class RegistryOptionsForm(OptionsForm):
    """How to read a registry: a table, so only what a table leaves open."""

    known = registry.NAMES
    words: ClassVar[Mapping[str, str]] = {
        "user_id": "Owner's id",
        "name": "Owner's name",
        "email": "Owner's email",
        "wallet": "Wallet's address",
        "serial": "Meter's serial",
        "meter_name": "Meter's name",
        "location": "Meter's location",
        "interval": "Meter's interval, seconds",
        "held_from": "Held from",
        "held_until": "Held until",
    }

    def __init__(self, data: Any, options: Options, header: Sequence[str]) -> None:
        super().__init__(data, options, header)
        for name in ("format", "meter", "interval_seconds", "exported", "decimal_comma"):
            del self.fields[name]


class DecisionForm(forms.Form):
    """What becomes of rows that cannot simply be taken; only what the file makes a question of."""

    corrections = forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget())
    skip_invalid = forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget())

    def __init__(self, data: Any, counts: Mapping[str, int], *, may_correct: bool) -> None:
        super().__init__(data)
        conflicts, invalid = counts.get("conflicts", 0), counts.get("invalid", 0)
        self.fields[
            "corrections"
        ].label = f"Correct what is stored: {conflicts:,} other values become new revisions"
        self.fields[
            "skip_invalid"
        ].label = "Leave out the rows that cannot be taken, and take the others"
        if not conflicts or not may_correct:
            del self.fields["corrections"]
        if not conflicts and not invalid:
            del self.fields["skip_invalid"]
        self._counts = counts

    def clean(self) -> dict[str, Any]:
        """Every row needs a fate."""
        values = super().clean() or self.cleaned_data
        report = Report()
        report.counts.update({name: self._counts.get(name, 0) for name in ("conflicts", "invalid")})
        if values.get("corrections"):
            report.counts["conflicts"] = 0
        if not report.fits(self.decision(values)):
            raise forms.ValidationError(
                "Some rows cannot be taken as they are. Say what becomes of them, or correct the "
                "file and bring it again."
            )
        return values

    def decision(self, values: Mapping[str, Any] | None = None) -> Decision:
        """What was said."""
        said = self.cleaned_data if values is None else values
        return Decision(
            corrections=bool(said.get("corrections")), skip_invalid=bool(said.get("skip_invalid"))
        )
