"""Bodies of jobs before people's eyes: never a byte that a terminal would obey."""

from __future__ import annotations

import json
from typing import Final

DUMPED: Final = 1_024
"""Bytes of a binary body that are shown: what fits on some screens."""

ROW: Final = 16
"""Bytes in a row of a dump, as hexdump(1) has it."""

FIRST_SHOWN: Final = ord(" ")
LAST_SHOWN: Final = ord("~")

BYTES: Final = 16
"""Bytes of a binary body in an excerpt."""

SHORT: Final = 512
"""Bytes that an excerpt is made from: wider than any terminal."""


def pretty(body: bytes) -> list[str]:
    """Return a body in lines: JSON indented, text as it is, anything else as a dump."""
    text = _text(body)
    if text is None:
        return _dump(body)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [safe(line) for line in text.split("\n")]
    if isinstance(value, (dict, list)):
        return [safe(line) for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n")]
    return [safe(line) for line in text.split("\n")]


def excerpt(body: bytes) -> str:
    """Return the beginning of a body on one line."""
    text = _text(body) if len(body) <= SHORT else body[:SHORT].decode(errors="ignore")
    if text is None or (len(body) > SHORT and _text(body) is None):
        return " ".join(f"{byte:02x}" for byte in body[:BYTES])
    return safe(" ".join(text.split()))


def safe(text: str) -> str:
    """Return a text in which every character that does not print is written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _text(body: bytes) -> str | None:
    """Return the text that a body is, None if it is none."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _dump(body: bytes) -> list[str]:
    lines = []
    for start in range(0, min(len(body), DUMPED), ROW):
        row = body[start : start + ROW]
        codes = " ".join(f"{byte:02x}" for byte in row)
        chars = "".join(chr(byte) if FIRST_SHOWN <= byte <= LAST_SHOWN else "." for byte in row)
        lines.append(f"{start:08x}  {codes:<{ROW * 3 - 1}}  |{chars}|")
    if len(body) > DUMPED:
        lines.append(f"… {len(body) - DUMPED} bytes more; --raw writes them all")
    return lines
