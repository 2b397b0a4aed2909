"""What is called around each job: by real workers, and what it may not break."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stalkd_client import Client, Queue
from stalkd_client.tasks.envelope import Envelope

from support.workers import work_off, worker

BOTH = ["--before", "hooking:before", "--after", "hooking:after"]
WAYS = {
    "plain": ["hooking:handle"],
    "threads": ["hooking:handle", "-c", "3"],
    "asyncio": ["hooking:handle_async", "-c", "3"],
    "trio": ["hooking:handle_async", "-c", "3", "--async-backend", "trio"],
}
LOOPS = ["asyncio", "trio"]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where hooks leave their notes."""
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("NOTES", str(path))
    return path


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def push(url: str, queue: str, *values: object) -> list[int]:
    with Queue(queue, url) as made:
        return [made.push(value) for value in values]


@pytest.mark.parametrize("way", WAYS)
def test_hooks_learn_what_becomes_of_a_job(url: str, tube: str, notes: Path, way: str) -> None:
    """In pairs, whatever becomes of it; the extra parameter of the handler is not theirs."""
    values = ["fine", "retry", "move", "bury", "exit"]
    ids = push(url, tube, *values)
    work_off(url, *WAYS[way], "-q", tube, "--on-error", f"LookupError={tube}.bad", *BOTH)
    said = read(notes)
    ends: dict[str, list[tuple[str, str | None]]] = {
        "fine": [("done", None)],
        "retry": [("retried", "Retry"), ("done", None)],
        "move": [("moved", "LookupError")],
        "bury": [("buried", "ValueError")],
        "exit": [("buried", "SystemExit")],
    }
    for job_id, value in zip(ids, values, strict=True):
        about = [tube, job_id, "", [value], {}]
        expected: list[Any] = []
        for attempt, end in enumerate(ends[value], start=1):
            expected += [
                ["before", *about, attempt, None, None, False],
                ["after", *about, attempt, *end, True],
            ]
        assert [each for each in said if each[2] == job_id] == expected


def test_hooks_learn_what_a_task_is_called_with(url: str, tube: str, notes: Path) -> None:
    calls = [Envelope("hooking.add", (1,), {"b": 2}), Envelope("hooking.other", (3,), {"b": 4})]
    with Client(url, use=tube) as client:
        ids = [client.put(each.encode()) for each in calls]
    work_off(url, "hooking", "-q", tube, *BOTH)
    known = [tube, ids[0], "hooking.add", [1], {"b": 2}, 1]
    unknown = [tube, ids[1], "hooking.other", [], {}, 1]
    assert read(notes) == [
        ["before", *known, None, None, False],
        ["after", *known, "done", None, True],
        ["before", *unknown, None, None, False],
        ["after", *unknown, "buried", "UnknownTaskError", True],
    ]


@pytest.mark.parametrize("handler", ["hooking:handle", "hooking:handle_async", "hooking"])
def test_a_body_that_cannot_be_read_has_hooks_too(
    url: str, tube: str, notes: Path, handler: str
) -> None:
    with Client(url, use=tube) as client:
        client.put(b"{no json")
    work_off(url, handler, "-q", tube, *BOTH)
    before, after = read(notes)
    assert before[3:] == ["", [], {}, 1, None, None, False]
    assert after[3:7] == ["", [], {}, 1]
    assert after[7] == "buried"
    assert after[8] in {"JSONDecodeError", "BadEnvelopeError"}


def test_a_program_has_hooks_too(url: str, tube: str, notes: Path) -> None:
    push(url, tube, 1)
    work_off(url, "--exec", "true", "-q", tube, "--after", "hooking:second")
    assert read(notes) == [["second"]]


def test_middlewares_are_like_contexts(url: str, tube: str, notes: Path) -> None:
    """The first is the outermost; other hooks are inside of all."""
    push(url, tube, 1)
    work_off(
        url, "hooking:handle", "-q", tube, "--before", "hooking:first", "--before",
        "hooking:second", "--middleware", "hooking:Outer", "--middleware", "hooking:Inner",
        "--after", "hooking:first", "--after", "hooking:second",
    )  # fmt: skip
    inside = [["first"], ["second"]] * 2
    outside = [["close inner"], ["close outer"]]
    assert read(notes) == [["open outer"], ["open inner"], *inside, *outside]


def test_a_handler_may_declare_hooks(url: str, notes: Path) -> None:
    push(url, "hooked", 1)
    work_off(url, "hooking:declares")
    assert [each[0] for each in read(notes)] == [
        "open outer", "open inner", "first", "before", "handled", "after", "close inner",
        "close outer",
    ]  # fmt: skip


def test_the_command_line_wins(url: str, notes: Path) -> None:
    """Kind by kind, as with the other options."""
    push(url, "hooked", 1)
    work_off(url, "hooking:declares", "--before", "hooking:second", "--middleware", "hooking:Inner")
    assert [each[0] for each in read(notes)] == [
        "open inner", "second", "handled", "after", "close inner",
    ]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_hook_that_fails_fails_no_job(url: str, tube: str, notes: Path, way: str) -> None:
    """Nor are jobs lost, nor the process; others are called, and the log tells."""
    ids = push(url, tube, *range(5))
    failing = ["fail", "leave", "stop", "interrupt"]
    options = [f"--{when}=hooking:{name}" for when in ("before", "after") for name in failing]
    done = work_off(url, *WAYS[way], "-q", tube, "-o", f"{tube}.out", *options, *BOTH)
    assert done.count(" done ") == len(ids)
    assert not done.count("process-")
    assert sorted(each[0] for each in read(notes)) == ["after"] * 5 + ["before"] * 5
    with Queue(f"{tube}.out", url) as out, Queue(tube, url) as queue:
        assert sorted(map(str, out.pop(10))) == list("01234")
        assert queue.count() == 0
    for name, error in zip(failing, ["LookupError", "SystemExit", "Stop", "Keyboard"], strict=True):
        lines = [line for line in done.log if f"hook=hooking:{name} " in line]
        assert len(lines) == 2 * len(ids)
        assert all("ERROR hook-failed" in line and error in line for line in lines)
    assert f'queue={tube} id={ids[0]} hook=hooking:fail error="LookupError: no tracer"' in (
        done.wait_for(f"id={ids[0]} hook=hooking:fail")
    )


@pytest.mark.parametrize("loop", LOOPS)
def test_async_hooks_are_awaited(url: str, tube: str, notes: Path, loop: str) -> None:
    push(url, tube, "fine", "bury")
    done = work_off(
        url, *WAYS[loop], "-q", tube, "--middleware", "hooking:AsyncSpan", "--before",
        "hooking:async_before", "--after", "hooking:async_fail", "--after", "hooking:second",
    )  # fmt: skip
    said = read(notes)
    assert sorted(each[2] for each in said if each[0] == "close") == ["buried", "done"]
    counts = [sum(each[0] == what for each in said) for what in ("open", "before", "second")]
    assert counts == [2, 2, 2]
    assert done.count("hook-failed") == done.count("hook=hooking:async_fail") == 2
    assert (done.count(" done "), done.count(" buried ")) == (1, 1)


def test_what_nobody_awaits_is_a_failure(url: str, tube: str, notes: Path) -> None:
    push(url, tube, 1)
    done = work_off(url, "hooking:handle", "-q", tube, "--before", "hooking:gives_awaitable")
    assert "it is async, and the handler is not" in done.wait_for("hook-failed")
    assert "never awaited" not in done.told()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--before", "hooking:async_before"], "hooking:async_before is async, but"),
        (["--middleware", "hooking:AsyncSpan"], "hooking:AsyncSpan.before is async, but"),
        (["--after", "nowhere:at_all"], "No module named"),
        (["--after", "hooking:missing"], "hooking has no missing"),
        (["--before", "hooking:WHAT"], "hooking:WHAT is a dict, which cannot be called"),
        (["--middleware", "hooking:Nothing"], "hooking:Nothing makes no middleware"),
        (["--middleware", "hooking:NoDatabase"], "no database today"),
        (["--middleware", "hooking:before"], "hooking:before is no class, but a function"),
    ],
)
def test_hooks_that_cannot_be_had_end_the_worker(
    url: str, tube: str, notes: Path, options: list[str], reason: str
) -> None:
    """At the start, with an exit code, and no job is taken."""
    push(url, tube, 1)
    with worker(url, "hooking:handle", "-q", tube, *options) as made:
        assert made.wait() == 1
    assert reason in made.wait_for("handler-refused")
    with Queue(tube, url) as queue:
        assert queue.count("ready") == 1
    assert not read(notes)


def test_a_name_without_a_function_is_refused(url: str, tube: str) -> None:
    with worker(url, "hooking:handle", "-q", tube, "--before", "hooking") as made:
        assert made.wait() == 2
    assert "--before 'hooking' is not MODULE:NAME" in made.told()


@pytest.mark.parametrize(("processes", "slots"), [(1, 1), (2, 1), (1, 3)])
def test_each_process_has_a_middleware_of_its_own(
    url: str, tube: str, notes: Path, processes: int, slots: int
) -> None:
    push(url, tube, *range(20))
    work_off(
        url, "hooking:handle", "-q", tube, "-p", str(processes), "-c", str(slots),
        "--middleware", "hooking:Counts", "--middleware", "hooking:Outer",
    )  # fmt: skip
    said = read(notes)
    counted: dict[int, int] = {}
    for pid, jobs in [each[1:] for each in said if each[0] == "counted"]:
        counted[pid] = max(counted.get(pid, 0), jobs)
    assert len(counted) <= processes
    assert sum(counted.values()) == 20
    assert said.count(["close outer"]) == 20


@pytest.mark.parametrize("slots", ["1", "2"])
def test_the_soft_time_limit_is_the_handlers(url: str, tube: str, notes: Path, slots: str) -> None:
    push(url, tube, 1)
    done = work_off(
        url, "hooking:handle", "-q", tube, "-c", slots, "--soft-time-limit", "0.2",
        "--before", "hooking:slow", "--after", "hooking:slow",
    )  # fmt: skip
    assert read(notes) == [["slow was left alone"]] * 2
    assert (done.count(" done "), done.count("hook-failed")) == (1, 0)


def test_a_process_that_dies_has_no_after(url: str, tube: str, notes: Path) -> None:
    push(url, tube, 1)
    done = work_off(url, "hooking:leave_process", "-q", tube, "--attempts", "2", *BOTH)
    assert done.count(" buried ") == 1
    assert [(each[0], each[6]) for each in read(notes)] == [("before", 1), ("before", 2)]


def test_a_failure_is_told_with_its_place_if_asked(url: str, tube: str, notes: Path) -> None:
    push(url, tube, 1)
    options = ["--after", "hooking:fail", "--log-format", "json", "--log-level"]
    done = work_off(url, "hooking:handle", "-q", tube, *options, "debug")
    told = json.loads(done.wait_for('"hook-failed"'))
    assert "hooking.py" in told["traceback"]
    push(url, tube, 1)
    done = work_off(url, "hooking:handle", "-q", tube, *options, "info")
    assert "traceback" not in json.loads(done.wait_for('"hook-failed"'))
