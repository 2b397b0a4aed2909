"""Columns that stand under each other, and fit the terminal."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from stalkd_client.command import output
from stalkd_client.command.bodies import safe

GAP: Final = "  "

WIDE: Final = frozenset("WF")
"""Classes of characters that take two cells of a terminal."""

LEAST_LAST: Final = 12
"""Cells that the last column keeps, however narrow the terminal is."""


def lay_out(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, width: int | None = None
) -> list[str]:
    """Return lines; a column whose head begins with ``>`` stands to the right.

    Only the last column is cut to fit into ``width``, None: no limit.
    """
    table = [[head.lstrip(">") for head in heads], *[[safe(text) for text in row] for row in rows]]
    sizes = [max(cells(row[number]) for row in table) for number in range(len(heads))]
    if width is not None:
        before = sum(sizes[:-1]) + len(GAP) * (len(sizes) - 1)
        sizes[-1] = min(sizes[-1], max(LEAST_LAST, width - before))
    return [
        GAP.join(
            _pad(cut(text, size), size, right=head.startswith(">"))
            for head, text, size in zip(heads, row, sizes, strict=True)
        ).rstrip()
        for row in table
    ]


def show(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table."""
    for line in lay_out(heads, rows, width=room()):
        output.write(line)


def show_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Write names and values, the values under each other."""
    listed = list(pairs)
    size = max((cells(name) for name, _ in listed), default=0)
    for name, value in listed:
        output.write(f"{_pad(name, size)}{GAP}{value}")


def room() -> int | None:
    """Return how wide the terminal is, None if the output goes elsewhere."""
    return shutil.get_terminal_size().columns if output.is_terminal() else None


def cells(text: str) -> int:
    """Return how many cells a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(char) for char in text)


def cut(text: str, size: int) -> str:
    """Return a text that takes no more than so many cells."""
    if cells(text) <= size:
        return text
    kept, used = "", 1  # The dots take one.
    for char in text:
        used += _cells_of(char)
        if used > size:
            break
        kept += char
    return kept + "…"


def _cells_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in WIDE else 1


def _pad(text: str, size: int, *, right: bool = False) -> str:
    space = " " * (size - cells(text))
    return space + text if right else text + space
