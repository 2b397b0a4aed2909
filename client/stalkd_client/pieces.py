"""Cutting a long row into pieces that memory, or a connection, can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def pieces(
    items: Iterable[T], most: int, weigh: Callable[[T], int] | None = None, heaviest: int = 0
) -> Iterator[list[T]]:
    """Give the items in lists of ``most`` at most.

    With ``weigh``, a list also ends with the item that makes it weigh ``heaviest`` or more. If the
    source raises ValueError, the items before it come first.
    """
    piece: list[T] = []
    weight = 0
    trouble: ValueError | None = None
    try:
        for item in items:
            piece.append(item)
            if weigh is not None:
                weight += weigh(item)
            if len(piece) == most or (weigh is not None and weight >= heaviest):
                yield piece
                piece, weight = [], 0
    except ValueError as error:
        trouble = error
    if piece:
        yield piece
    if trouble is not None:
        raise trouble
