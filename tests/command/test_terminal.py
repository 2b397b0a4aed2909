"""What a person sees and types."""

from __future__ import annotations

import pytest
from stalkd_client import Client

from support.stalk import PROGRAM
from support.terminal import on_terminal


@pytest.mark.parametrize(("answer", "code", "left"), [("n\r", 1, 2), ("\r", 1, 2), ("y\r", 0, 0)])
def test_what_destroys_asks_first(
    client: Client, url: str, answer: str, code: int, left: int
) -> None:
    client.put("a")
    client.put("b")
    with on_terminal(PROGRAM, "purge", "mail", "--url", url) as terminal:
        terminal.read_until("Delete 2 jobs of mail for good? [y/N]: ")
        terminal.type(answer)
        assert terminal.end() == code
    assert client.stats_tube("mail")["current-jobs-ready"] == left


def test_ctrl_c_at_a_question_does_nothing(client: Client, url: str) -> None:
    job = client.put("a")
    with on_terminal(PROGRAM, "rm", str(job), "--url", url) as terminal:
        terminal.read_until("[y/N]: ")
        assert terminal.interrupt() == 130
        assert "Abort" not in terminal.shown
    assert client.peek(job).body == b"a"


@pytest.mark.parametrize(("answer", "state"), [("bury", "buried"), ("release", "ready")])
def test_reserve_shows_and_asks(client: Client, url: str, answer: str, state: str) -> None:
    job = client.put('{"to": "you"}')
    with on_terminal(PROGRAM, "reserve", "mail", "--url", url) as terminal:
        shown = terminal.read_until("What now? (ack, release, bury): ")
        assert '"to": "you"' in shown
        terminal.type(f"{answer}\r")
        assert terminal.end() == 0
    assert client.stats_job(job)["state"] == state


def test_lines_fit_the_terminal(client: Client, url: str) -> None:
    client.put("long " * 100)
    client.put("日本語 " * 100)
    with on_terminal(PROGRAM, "jobs", "mail", "--url", url, columns=90) as terminal:
        assert terminal.end() == 0
    _, first, second = terminal.shown.split("\r\n")[:3]
    assert len(first) == 90
    assert first.endswith("…")
    assert len(second) < 90


def test_top_fills_the_screen_until_q(client: Client, url: str) -> None:
    client.put("x")
    words = ("top", "--interval", "0.2s", "--url", url)
    with on_terminal(PROGRAM, *words, columns=120) as terminal:
        terminal.read_until("mail")
        terminal.read_until("WAITING")
        terminal.type("q")
        assert terminal.end() == 0


def test_ctrl_c_leaves_top(client: Client, url: str) -> None:
    client.put("x")
    with on_terminal(PROGRAM, "top", "--interval", "0.2s", "--url", url, columns=120) as terminal:
        terminal.read_until("mail")
        terminal.type("\x03")
        assert terminal.end() == 0


def test_top_of_an_absent_server_does_not_take_the_screen() -> None:
    with on_terminal(PROGRAM, "top", "--url", "unix:/nowhere") as terminal:
        assert terminal.end() == 3
    assert terminal.shown.startswith("stalk: cannot connect to unix:/nowhere")
