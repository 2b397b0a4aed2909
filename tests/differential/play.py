"""Plays a conversation on a server and writes down what was really said."""

from __future__ import annotations

import difflib
from collections import Counter
from typing import TYPE_CHECKING

from differential.deviations import ANYTHING
from differential.script import Conversation, Exchange, Heard, matches

if TYPE_CHECKING:
    from differential.stage import Stage


def play(conversation: Conversation, stage: Stage) -> Conversation:
    """Take every step; return the same conversation with the replies that came.

    A reply that the original allows (``*``) is written as it stands there, so that the two are
    equal if all went as it should.
    """
    actual = Conversation(conversation.options, conversation.unix)
    for exchange in conversation.exchanges:
        stage.perform(exchange.action)
        due = Counter(line.who for line in exchange.heard if line.text != ANYTHING)
        heard = stage.hear(due)
        actual.exchanges.append(Exchange(exchange.action, align(exchange.heard, heard)))
    return actual


def align(expected: list[Heard], actual: list[Heard]) -> list[Heard]:
    """Put what was heard into the order of the file, and mask what the file masks."""
    rest = list(actual)
    aligned: list[Heard] = []
    for index, line in enumerate(expected):
        if line.text == ANYTHING:
            following = next((more for more in expected[index + 1 :] if more.who == line.who), None)
            _skip(rest, line.who, following)
            aligned.append(line)
        elif mine := next((heard for heard in rest if heard.who == line.who), None):
            rest.remove(mine)
            aligned.append(line if matches(line.text, mine.text) else mine)
    return aligned + rest


def _skip(rest: list[Heard], who: str, until: Heard | None) -> None:
    """Take out the lines of a text up to the one that the file names next."""
    for heard in [heard for heard in rest if heard.who == who]:
        if not heard.text.startswith("|") or (until and key(heard) == key(until)):
            break
        rest.remove(heard)


def key(line: Heard) -> str:
    """What a line of statistics is about."""
    return line.text.partition(": ")[0]


def difference(expected: Conversation, actual: Conversation) -> str:
    """Where two conversations part, as a readable diff; empty if they do not."""
    return "\n".join(
        difflib.unified_diff(expected.lines(), actual.lines(), "expected", "heard", "", "", 4, "")
    )
