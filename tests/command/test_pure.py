"""Times, tables, bodies, records and rates: what needs no server."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stalkd_client.command import bodies, files, output, records, tables, times
from stalkd_client.command.baseline import Baseline
from stalkd_client.command.rates import Sample, compare, sort
from stalkd_client.documents import Mapping

DURATIONS = {
    "90": 90.0,
    "90s": 90.0,
    "5m": 300.0,
    "2h": 7200.0,
    "1d": 86400.0,
    "1h30m": 5400.0,
    "0.5": 0.5,
    "0": 0.0,
}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_durations_are_read(text: str, seconds: float) -> None:
    assert times.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5", "5x", "1e3", " 5", "5 m", ".5", "٣"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="say 90, 90s, 5m"):
        times.seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.31, "0.3s"), (42.9, "42s"), (200, "3m20s"), (3600, "1h"), (273_600, "3d4h")],
)
def test_durations_are_shown(seconds: float, text: str) -> None:
    assert times.shown(seconds) == text


def test_the_last_column_is_cut_and_no_other() -> None:
    lines = tables.lay_out(["NAME", ">N", "BODY"], [["mail", "5", "x" * 99]], width=30)
    assert lines == ["NAME  N  BODY", "mail  5  " + "x" * 20 + "…"]


def test_wide_characters_take_two_cells() -> None:
    assert tables.cells("日本") == 4
    assert tables.cut("日本語", 5) == "日本…"


@given(st.binary(max_size=200))
def test_nothing_shown_is_obeyed_by_a_terminal(body: bytes) -> None:
    for line in [*bodies.pretty(body), bodies.excerpt(body)]:
        assert all(char.isprintable() or char == "\t" for char in line)


def test_a_link_laid_for_a_new_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".target.guessed").symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError), files.replacing(tmp_path / "target") as file:
        file.write("lost")
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_file_is_replaced_wholly_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with files.replacing(target) as file:
        file.write("old")
    with pytest.raises(ZeroDivisionError), files.replacing(target) as file:
        file.write(str(1 / 0))
    assert (target.read_text(), list(tmp_path.iterdir())) == ("old", [target])


@given(st.text())
def test_no_json_is_obeyed_by_a_terminal(text: str) -> None:
    line = output.in_json({"body": text})
    assert line.isprintable()
    assert json.loads(line) == {"body": text}


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x9b31mred", "a\r\nb"])
def test_no_name_or_note_is_obeyed_by_a_terminal(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output.note(text)
    (_, line) = tables.lay_out(["NAME"], [[text]])
    assert (line + capsys.readouterr().err.removesuffix("\n")).isprintable()


@given(st.binary(max_size=200))
def test_bodies_survive_json_exactly(body: bytes) -> None:
    line = json.dumps(records.body_of(body)).encode()
    assert records.parse(line, "mail").body == body


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "Expecting"),
        ("[]", "no JSON object"),
        ("{}", "body"),
        ('{"body": 5}', "body"),
        ('{"body": "x", "body_base64": "eA=="}', "body"),
        ('{"body_base64": "?"}', "base64"),
        ('{"body": "x", "pri": "high"}', "pri"),
        ('{"body": "x", "pri": -1}', "pri"),
        ('{"body": "x", "pri": true}', "pri"),
        ('{"body": "x", "key": "a b"}', "key"),
    ],
)
def test_what_is_no_record(line: str, why: str) -> None:
    with pytest.raises(records.RecordError, match=why):
        records.parse(line.encode(), "mail")


def test_a_record_without_a_tube_needs_one() -> None:
    with pytest.raises(records.RecordError, match="--tube"):
        records.parse(b'{"body": "x"}', None)


def told(name: str, put: int, deleted: int, **more: int) -> Mapping:
    return {"name": name, "total-jobs": put, "cmd-delete": deleted, **more}


def test_rates_are_those_between_two_samples() -> None:
    before = Sample.of(10.0, [told("mail", 100, 50)])
    now = Sample.of(12.0, [told("mail", 110, 54), told("new", 7, 0)])
    mail, new = sort(compare(before, now), "put")
    assert (mail.name, mail.put_rate, mail.done_rate) == ("mail", 5.0, 2.0)
    assert (new.put_rate, new.age) == (0.0, None)


def test_a_tube_that_began_again_has_no_negative_rate() -> None:
    before, now = Sample.of(0.0, [told("mail", 100, 50)]), Sample.of(1.0, [told("mail", 3, 1)])
    (line,) = compare(before, now)
    assert (line.put_rate, line.done_rate) == (3.0, 1.0)


def test_lines_are_sorted_with_the_most_first() -> None:
    now = Sample.of(
        0.0, [told("b", 0, 0), told("c", 0, 0, **{"current-jobs-ready": 5}), told("a", 0, 0)]
    )
    assert [line.name for line in sort(compare(now, now), "ready")] == ["c", "a", "b"]


def test_a_baseline_above_the_total_is_that_of_another_life() -> None:
    zeros = Baseline("here", {"mail": {"total-jobs": 100, "cmd-delete": 90}})
    assert zeros.since(told("mail", 130, 95)) == {"inserted": 30, "completed": 5}
    assert zeros.since(told("mail", 4, 2)) == {"inserted": 4, "completed": 2}
