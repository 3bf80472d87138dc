"""Damage to bytes, to TOML and CSV text, and to folders."""

from __future__ import annotations

import os
import random
import re
import shutil
from pathlib import Path

STRANGE = (
    "",
    "\u202e",
    "\x1b[2J",
    "'",
    '"',
    "é" * 300,
    "x" * 5000,
    "../../etc/passwd",
    "/",
    "~",
    "-",
    "\udcff",
    "a\nb",
    "%s%n",
    "{0}",
    "$(id)",
)
"""Texts that programs tend to trip over: control characters, long ones, paths, formats."""

NUMBERS = ("0", "-1", "1e400", "-1e400", "nan", "inf", "9" * 400, "1e-400", "0x10", "１", "1__0")
VALUES = (
    *NUMBERS,
    "true",
    '""',
    '"x"',
    "[]",
    "[[[]]]",
    "{}",
    "{ a = 1 }",
    "1979-05-27",
    "[1, 2, 3]",
    "-0.0",
    f'"{"x" * 5000}"',
    '"\\u001b[2J"',
)
_LINE = re.compile(r"^(\s*[\w.-]+\s*=\s*)(.*)$", re.MULTILINE)


def damage_bytes(rng: random.Random, data: bytes) -> bytes:
    """Returns bytes cut off, overwritten, doubled, prefixed, or replaced by something else."""
    if not data:
        return rng.randbytes(64)
    at = rng.randrange(len(data))
    few = rng.randbytes(rng.randint(1, 16))
    flipped = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return rng.choice(
        (
            data[:at],
            data[at:],
            data[:at] + few + data[at + len(few) :],
            data[:at] + few + data[at:],
            data + few,
            data * 2,
            bytes(flipped),
            b"",
            b"\0" * len(data),
            b"\xef\xbb\xbf" + data,
            b"\xff\xfe" + data,
            rng.randbytes(min(len(data), 4096)),
            b"PK\x03\x04" + data[4:],
            b"\x80\x04\x95" + data,
        )
    )


def damage_text(rng: random.Random, text: str) -> bytes:
    """Returns a TOML text with wrong values, lost or doubled lines, hostile nesting or a BOM."""
    lines = text.splitlines(keepends=True) or ["\n"]
    at = rng.randrange(len(lines))
    matches = list(_LINE.finditer(text))
    change = rng.randrange(10)
    if change < 4 and matches:
        match = rng.choice(matches)
        return _encode(text[: match.start(2)] + rng.choice(VALUES) + text[match.end(2) :])
    if change == 4:
        return _encode("".join(lines[:at] + lines[at + 1 :]))
    if change == 5:
        return _encode("".join([*lines[:at], lines[at], *lines[at:]]))
    if change == 6:
        depth = rng.choice((10, 500, 20_000))
        nested = rng.choice(
            (f"a = {'[' * depth}\n", f"a = {'{a=' * depth}1\n", f"[{'.'.join('a' * depth)}]\n")
        )
        return _encode("".join([*lines[:at], nested, *lines[at:]]))
    if change == 7:
        strange = rng.choice(STRANGE)
        return _encode("".join([*lines[:at], f"{strange} = 1\n", *lines[at:]]))
    if change == 8:
        return b"\xef\xbb\xbf" + _encode(text)
    return damage_bytes(rng, _encode(text))


def damage_table(rng: random.Random, text: str) -> bytes:
    """Returns a CSV with wrong cells, too many or too few of them, or names of other places."""
    lines = text.splitlines()
    row = rng.randrange(len(lines))
    cells = lines[row].split(",")
    cell = rng.randrange(len(cells))
    change = rng.randrange(5)
    if change == 0:
        cells[cell] = rng.choice((*STRANGE, *NUMBERS))
    elif change == 1:
        del cells[cell]
    elif change == 2:
        cells.insert(cell, rng.choice(NUMBERS))
    elif change == 3:
        cells[0] = rng.choice(("/etc/hostname", "../set/train/red/000.png", "IMG", "a" * 5000))
    else:
        return damage_bytes(rng, _encode(text))
    lines[row] = ",".join(cells)
    return _encode("\n".join(lines) + "\n")


def damage_file(rng: random.Random, path: Path) -> None:
    """Damages a file in place, by what it is."""
    data = path.read_bytes()
    path.unlink()
    change = rng.randrange(12)
    if change == 0:
        return  # missing
    if change == 1:
        path.mkdir()
    elif change == 2:
        path.symlink_to(path.name)
    elif change == 3:
        os.mkfifo(path)
    elif path.suffix in (".toml", ".json", ".jsonl") and change < 9:
        path.write_bytes(damage_text(rng, data.decode("utf-8", "replace")))
    elif path.suffix == ".csv" and change < 10:
        path.write_bytes(damage_table(rng, data.decode("utf-8", "replace")))
    else:
        path.write_bytes(damage_bytes(rng, data))


def damage_folder(rng: random.Random, folder: Path) -> None:
    """Damages one to three things in a folder: files, their names, or whole subfolders."""
    for _ in range(rng.randint(1, 3)):
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
        if not files:
            return
        path = rng.choice(files)
        change = rng.randrange(8)
        if change == 0:
            other = rng.choice(files)
            one, two = path.read_bytes(), other.read_bytes()
            for place, content in ((path, two), (other, one)):
                place.unlink(missing_ok=True)
                place.write_bytes(content)
        elif change == 1 and path.parent != folder:
            shutil.rmtree(path.parent)
        elif change == 2:
            name = os.fsencode(path.parent) + rng.choice((b"/caf\xe9.png", b"/a b\n", b"/-x"))
            os.rename(os.fsencode(path), name)  # noqa: PTH104
        else:
            damage_file(rng, path)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
