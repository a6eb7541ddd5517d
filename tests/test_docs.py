"""What docs/ says is what the code does: settings, commands, states, error codes, invariants."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minting.engine import blame, errors, wallets
from minting.engine.states import (
    BatchStatus,
    ResultStatus,
    SliceStatus,
    TransactionStatus,
)
from model.check import MISTAKES
from readings.rules import ReadingCode, ReadingStatus

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (DOCS / name).read_text()


def all_docs() -> str:
    return "\n".join(path.read_text() for path in sorted(DOCS.glob("*.md")))


def named(source: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", source))


def test_every_setting_is_documented_and_no_other():
    example = {
        line.partition("=")[0]
        for line in (ROOT / ".env.example").read_text().splitlines()
        if re.match(r"[A-Z_]+=", line)
    }
    table = text("operations.md").partition("## Settings")[2].partition("## Commands")[0]
    rows = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))

    assert named(rows) == example


def test_every_command_is_documented():
    commands = {
        path.stem
        for folder in (ROOT / "minting", ROOT / "readings")
        for path in (folder / "management" / "commands").glob("*.py")
        if path.stem != "__init__"
    }
    table = text("operations.md").partition("## Commands")[2].partition("## From nothing")[0]
    rows = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))

    assert commands == named(rows)


def test_every_check_is_documented_and_no_other():
    sources = [ROOT / "gridtoken/checks.py", ROOT / "minting/checks.py"]
    sources += (ROOT / "minting/service").rglob("survey.py")
    said = {
        name if "." in name else f"minting.{name}"
        for source in sources
        for name in re.findall(r'"((?:gridtoken\.|minting\.)?[EW]\d{3})"', source.read_text())
    }
    table = text("security.md").partition("## Checks")[2]

    assert said == {each for each in named(table) if re.fullmatch(r"\w+\.[EW]\d{3}", each)}


@pytest.mark.parametrize(
    "states", [TransactionStatus, ResultStatus, SliceStatus, BatchStatus, ReadingStatus]
)
def test_every_state_is_documented(states):
    assert {state.value for state in states} <= named(text("invariants.md"))


def test_every_error_code_is_documented():
    codes = {
        each.code
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.BlockchainError)
        if hasattr(each, "code")
    }
    codes |= set(re.findall(r'WalletRefused\(\s*"([a-z_]+)"', Path(wallets.__file__).read_text()))
    codes |= {code for _, code in blame._TRANSACTION_ERRORS.values()}
    codes |= {code.value for code in ReadingCode}

    assert codes - named(all_docs()) == set()


def test_every_invariant_names_a_test_that_is_there():
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for number in range(1, 10):
        assert f"def test_i{number}_" in tests
        assert f"| I{number} |" in text("invariants.md")


def test_every_mistake_of_the_model_is_documented_and_no_other():
    model = (ROOT / "model" / "exactly_once.pml").read_text()
    macros = set(re.findall(r"^#if(?:n?def|\b.*defined) ?([A-Z_]+)", model, re.MULTILINE))
    macros -= {"SIGNATURES"}  # a bound, not a mistake
    page = (ROOT / "model" / "README.md").read_text()
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))

    assert macros == set(MISTAKES) == listed
    assert macros <= named(text("invariants.md"))


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "model" / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_index_leads_to_every_page():
    pages = {path.name for path in DOCS.glob("*.md")} - {"README.md"}
    assert pages <= set(re.findall(r"\]\(([a-z-]+\.md)\)", text("README.md")))


def anchor_of(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor_of(each) for each in re.findall(r"^##* (.+)$", page.read_text(), re.MULTILINE)}


def test_links_into_pages_lead_to_headings():
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.glob("*.md")]:
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
            other = page.parent / target if target else page
            assert anchor in anchors(other), f"{page.name}: {target}#{anchor}"


def test_every_alert_leads_to_a_section_of_the_runbook_that_names_it():
    alerts = text("monitoring.md").partition("## Alerts")[2].partition("## The digest")[0]
    paragraphs = dict(each.split("\n", 1) for each in alerts.split("\n### ")[1:])
    sections = dict(each.split("\n", 1) for each in text("runbook.md").split("\n## ")[1:])
    named_by = {
        anchor_of(heading): {name for name in named(body) if name.startswith("GridToken")}
        for heading, body in sections.items()
    }

    assert paragraphs.keys() == set().union(*named_by.values())
    for alert, paragraph in paragraphs.items():
        [section] = re.findall(r"\]\(runbook\.md#([\w-]+)\)", paragraph)
        assert alert in named_by[section], alert
