"""The test programs are what their sources say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import cast

CLANG = "14"
"""Major version of the compiler that built them; another one's code differs."""


def compiler() -> str:
    """Major version of this machine's clang, or nothing."""
    if not (shutil.which("clang") and shutil.which("llvm-objcopy")):
        return ""
    told = subprocess.run(["clang", "-dumpversion"], check=True, capture_output=True, text=True)
    return told.stdout.partition(".")[0]


@pytest.mark.skipif(
    compiler() != CLANG,
    reason=f"clang {CLANG} and llvm-objcopy build the test programs: not compared with sources",
)
@pytest.mark.parametrize("name", cast.NAMES)
def test_the_program_is_built_from_its_source(name: str, tmp_path: Path) -> None:
    built = tmp_path / f"{name}.so"
    command = [sys.executable, str(cast.FOLDER / "build.py"), f"{name}.c", str(built)]
    ran = subprocess.run(command, cwd=cast.FOLDER, check=False, capture_output=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert built.read_bytes() == cast.elf(name)
