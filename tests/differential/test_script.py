"""The format of conversations: what is written can be read back, and is matched as it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from differential.play import align, difference
from differential.replies import take_replies
from differential.script import (
    Conversation,
    FormatError,
    Heard,
    Leave,
    Send,
    Signal,
    Wait,
    escape,
    matches,
    parse,
    unescape,
)

TEXT = r"""
    # a comment
    server -z 10
    socket unix
    A> use \{x*3}\r\n\x00
    A< USING xxx
    B half-closes
    A closes
    wait 1.5
    signal USR1
    deviation fifo-waiters
    beanstalkd:
        A> \\
        A< one
        A| tube: a
    stalkd:
        A> /
        A is closed
    end
    B> stats-tube a\r\n
    B| name: a
"""


def test_a_file_is_read_as_one_server_must_answer_it() -> None:
    conversation = parse(TEXT.splitlines(), "beanstalkd")
    assert conversation.options == ("-z", "10")
    assert conversation.unix
    assert conversation.deviations == {"fifo-waiters"}
    assert [exchange.action for exchange in conversation.exchanges] == [
        Send("A", b"use xxx\r\n\0"),
        Leave("B", "half-closes"),
        Leave("A", "closes"),
        Wait(1.5),
        Signal("USR1"),
        Send("A", b"\\"),
        Send("B", b"stats-tube a\r\n"),
    ]
    assert conversation.lines()[-5:] == [
        r"A> \\",
        "A< one",
        "A| tube: a",
        r"B> stats-tube a\r\n",
        "B| name: a",
    ]


def test_what_stalkd_says_is_translated_where_it_is_not_written_down() -> None:
    lines = parse(TEXT.splitlines(), "stalkd").lines()
    assert lines[-4:] == ["A> /", "A is closed", r"B> stats-tube a\r\n", 'B| name: "a"']


@pytest.mark.parametrize("line", ["A> \\q", "A>", "wait", "hello", "A< early", "signal usr1"])
def test_a_line_that_means_nothing_is_refused(line: str) -> None:
    with pytest.raises(FormatError, match="line 1"):
        parse([line], "stalkd")


@given(st.lists(st.binary(max_size=5) | st.just(b"z" * 100)).map(b"".join))
def test_bytes_survive_being_written_down(data: bytes) -> None:
    text = escape(data)
    assert unescape(text) == data
    assert text == text.rstrip()
    assert text.isprintable()
    assert len(text) <= 4 * len(data)


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("< OK *", "< OK 12", True),
        ("< OK *", "< KO 12", False),
        ("| age: <1..3>", "| age: 3", True),
        ("| age: <1..3>", "| age: 4", False),
        ("| age: <-9..0>", "| age: -1", True),
        ("| age: <1..3>", "| age: x", False),
        ("< a.c", "< abc", False),
    ],
)
def test_wildcards(expected: str, actual: str, *, same: bool) -> None:
    assert matches(expected, actual) is same


def heard(*lines: str) -> list[Heard]:
    return [Heard(line[0], line[1:]) for line in lines]


@pytest.mark.parametrize(
    "actual",
    [
        ["A| a: 1", "A| b: 2", "A| c: 3"],
        ["A| b: 2"],
        ["B< x", "A| a: 1", "A| b: 2"],
    ],
)
def test_three_dots_stand_for_any_lines_of_the_same_text(actual: list[str]) -> None:
    expected = heard("A| ...", "A| b: *", "A| ...", "B< x")
    aligned = align(expected, heard(*actual))
    assert (aligned == expected) is any(line == "B< x" for line in actual)
    assert aligned[:3] == expected[:3]


@pytest.mark.parametrize("actual", [["A| a: 1"], ["A| b: 2", "A< next"], []])
def test_three_dots_do_not_stand_for_what_is_missing_or_too_much(actual: list[str]) -> None:
    expected = heard("A| ...", "A| b: *", "A| ...")
    assert align(expected, heard(*actual)) != expected


def test_a_difference_is_shown_where_it_is() -> None:
    lines = [r"A> peek 1\r\n", "A< NOT_FOUND"]
    expected = parse(lines, "beanstalkd")
    assert not difference(expected, parse(lines, "beanstalkd"))
    shown = difference(expected, Conversation(exchanges=expected.exchanges[:0]))
    assert r"-A> peek 1\r\n" in shown


@pytest.mark.parametrize(
    ("received", "lines", "rest"),
    [
        (b"USING a\r\nINS", [["< USING a"]], b"INS"),
        (b"RESERVED 1 3\r\na\r\n\r\n", [["< RESERVED 1 3", r"< a\r\n"]], b""),
        (b"FOUND 1 0\r\n\r\nX\r\n", [["< FOUND 1 0", "<"], ["< X"]], b""),
        (b"OK 8\r\n---\n- a\n\r\n", [["< OK 8", "| ---", "| - a"]], b""),
        (b"OK 7\r\n---\n- a\n\r\n", [], b"OK 7\r\n---\n- a\n\r\n"),
        (b"OK 3\r\n---\r\n", [], b"OK 3\r\n---\r\n"),
        (b"RESERVED 1 3\r\nab", [], b"RESERVED 1 3\r\nab"),
    ],
)
def test_replies_are_cut_by_their_lengths(
    received: bytes, lines: list[list[str]], rest: bytes
) -> None:
    left = bytearray(received)
    assert [reply.lines() for reply in take_replies(left)] == lines
    assert left == rest
