"""Golden packs, and packs made of the lines of others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from minting.engine.audit_pack import PackEnd, PackLine, PackWriter, read_pack

ROOT = Path(__file__).resolve().parents[2]
VERIFY = ROOT / "docs" / "verify" / "verify_pack.py"
GOLDEN = sorted((ROOT / "tests" / "golden").glob("audit-pack-*.jsonl"))

Line = TypeVar("Line", bound=PackLine)


def lines_of(pack: bytes) -> list[PackLine]:
    return list(read_pack(BytesIO(pack)))


def pack_from(lines: Sequence[PackLine]) -> bytes:
    """What a forger makes who knows the format: counts, sums and digest are right again."""
    stream = BytesIO()
    writer = PackWriter(stream.write)
    for line in lines:
        if not isinstance(line, PackEnd):
            writer.add(line)
    writer.end()
    return stream.getvalue()


def changed(
    lines: Sequence[PackLine],
    kind: type[Line],
    change: Callable[[Line], dict[str, Any]],
    number: int = 0,
) -> list[PackLine]:
    """The same lines, but for some fields of one of its kind."""
    [place] = [place for place, line in enumerate(lines) if isinstance(line, kind)][
        number : number + 1
    ]
    line: Any = lines[place]
    return [*lines[:place], replace(line, **change(line)), *lines[place + 1 :]]


def verify(pack: bytes | Path, folder: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of the standalone program, in an interpreter without our packages."""
    file = pack if isinstance(pack, Path) else folder / "pack.jsonl"
    if isinstance(pack, bytes):
        file.write_bytes(pack)
    ran = subprocess.run(
        [sys.executable, "-E", "-s", "-S", str(VERIFY), str(file), *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr == ""
    return ran.returncode, ran.stdout
