"""What calls itself pure needs no Django, and nothing here knows minting."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import readings

PURE = ["errors", "rules", "second_person", "periods", "candidate", "demo", "demo_mess", "formats"]
ROOT = Path(readings.__file__).parent


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_no_django(module):
    program = f"import sys, readings.{module}; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT.parent)


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_readings_knows_neither_minting_nor_the_project(path):
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & {"minting", "gridtoken"}
