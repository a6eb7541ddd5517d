"""C to a program that Solana's loader takes, with clang and llvm-objcopy alone.

    python3 build.py SOURCE.c OUT.so

What the loader (SBF version 0) wants is ELF64, little endian, ET_DYN, machine BPF, addresses equal
to file offsets, one ``.text`` whose start is the entry point, nothing writable. A syscall is
``call -1`` with a relocation R_BPF_64_32 that names it; in C it is a constant pointer that holds
the name's murmur3-32 hash, and is found and turned into that here.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

DISCRIMINATOR = hashlib.sha256(b"global:mint_tokens_direct").digest()[:8]
SYSCALLS = (b"sol_invoke_signed_c", b"sol_try_find_program_address")

CALL, R_BPF_64_32 = 0x85, 10
HEADER, PROGRAM_HEADER, SECTION_HEADER = 64, 56, 64
TEXT_AT = HEADER + 3 * PROGRAM_HEADER
NAMES = b"\0.text\0.dynsym\0.dynstr\0.rel.dyn\0.dynamic\0.shstrtab\0"
PROGBITS, STRTAB, DYNAMIC, REL, DYNSYM = 1, 3, 6, 9, 11


def murmur3(data: bytes) -> int:
    """murmur3-32 with seed 0, by which the virtual machine knows its syscalls."""
    mask, value = 0xFFFFFFFF, 0
    whole = len(data) - len(data) % 4
    for at in range(0, len(data), 4):
        word = int.from_bytes(data[at : at + 4], "little") * 0xCC9E2D51 & mask
        value ^= _turned(word, 15) * 0x1B873593 & mask
        if at < whole:
            value = (_turned(value, 13) * 5 + 0xE6546B64) & mask
    value ^= len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & mask
    value = (value ^ value >> 13) * 0xC2B2AE35 & mask
    return value ^ value >> 16


def _turned(word: int, places: int) -> int:
    return (word << places | word >> (32 - places)) & 0xFFFFFFFF


def compiled(source: Path) -> bytes:
    """The machine code of the one function, its syscalls still called by their hashes."""
    defines = {name.decode().upper(): str(murmur3(name)) for name in SYSCALLS}
    defines["DISCRIMINATOR"] = f"{int.from_bytes(DISCRIMINATOR, 'little')}ULL"
    with tempfile.TemporaryDirectory() as folder:
        made, text = Path(folder, "made.o"), Path(folder, "text")
        flags = ["-target", "bpf", "-mcpu=v1", "-O2", "-fno-builtin", "-Wall", "-Werror"]
        flags += [f"-D{name}={value}" for name, value in defines.items()]
        subprocess.run(["clang", *flags, "-c", str(source), "-o", str(made)], check=True)
        if b".rodata" in made.read_bytes():
            raise SystemExit(f"{source}: constants do not fit into its code")
        copy = ["llvm-objcopy", "-O", "binary", "--only-section=.text", str(made), str(text)]
        subprocess.run(copy, check=True)
        return text.read_bytes()


def linked(code: bytes) -> bytes:
    """The shared object around the code."""
    text, calls = _with_relocations(code)
    strings = b"\0" + b"".join(name + b"\0" for name in SYSCALLS)
    strings += bytes(-len(strings) % 8)
    symbols = bytes(24) + b"".join(
        struct.pack("<IBBHQQ", strings.index(name + b"\0"), 0x10, 0, 0, 0, 0) for name in SYSCALLS
    )
    relocations = b"".join(
        struct.pack("<QQ", TEXT_AT + at, (SYSCALLS.index(name) + 1) << 32 | R_BPF_64_32)
        for at, name in calls
    )
    symbols_at = TEXT_AT + len(text)
    strings_at = symbols_at + len(symbols)
    relocations_at = strings_at + len(strings)
    dynamic_at = relocations_at + len(relocations)
    entries = [(5, strings_at), (10, len(strings)), (6, symbols_at), (11, 24)]
    entries += [(17, relocations_at), (18, len(relocations)), (19, 16), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    names_at = dynamic_at + len(dynamic)
    sections_at = names_at + len(NAMES) + -(names_at + len(NAMES)) % 8
    sections = bytes(SECTION_HEADER) + b"".join(
        _section(each)
        for each in (
            (b".text", PROGBITS, 6, TEXT_AT, len(text), 0, 0),
            (b".dynsym", DYNSYM, 2, symbols_at, len(symbols), 3, 24),
            (b".dynstr", STRTAB, 2, strings_at, len(strings), 0, 0),
            (b".rel.dyn", REL, 2, relocations_at, len(relocations), 2, 16),
            (b".dynamic", DYNAMIC, 3, dynamic_at, len(dynamic), 3, 16),
            (b".shstrtab", STRTAB, 0, names_at, len(NAMES), 0, 0),
        )
    )
    readable = dynamic_at + len(dynamic) - symbols_at
    segments = _segment(1, 5, TEXT_AT, len(text)) + _segment(1, 4, symbols_at, readable)
    segments += _segment(2, 4, dynamic_at, len(dynamic))
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQI", 3, 247, 1, TEXT_AT, HEADER, sections_at, 0)
    header += struct.pack("<6H", HEADER, PROGRAM_HEADER, 3, SECTION_HEADER, 7, 6)
    body = header + segments + text + symbols + strings + relocations + dynamic + NAMES
    return body + bytes(sections_at - len(body)) + sections


def _with_relocations(code: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    """The code with each syscall as ``call -1``, and where which of them is called."""
    hashes = {murmur3(name): name for name in SYSCALLS}
    text, calls = bytearray(code), []
    for at in range(0, len(text), 8):
        if text[at] == CALL:
            calls.append((at, hashes[int.from_bytes(text[at + 4 : at + 8], "little")]))
            text[at + 4 : at + 8] = b"\xff" * 4
    return bytes(text), calls


def _section(described: tuple[bytes, int, int, int, int, int, int]) -> bytes:
    name, kind, flags, at, size, link, entry = described
    place = NAMES.index(name + b"\0")
    return struct.pack("<IIQQQQIIQQ", place, kind, flags, at, at, size, link, 0, 8, entry)


def _segment(kind: int, flags: int, at: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, flags, at, at, at, size, size, 0x1000)


def main() -> None:
    """Builds one program."""
    source, out = map(Path, sys.argv[1:])
    out.write_bytes(linked(compiled(source)))


if __name__ == "__main__":
    main()
