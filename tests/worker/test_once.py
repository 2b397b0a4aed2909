"""``--once``: lines of stdin through real processes, and no server anywhere."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from stalkd_client.worker.once.lines import AHEAD_BYTES, CHUNK_BYTES
from stalkd_client.worker.once.splitting import LONGEST_LINE

from support.once import as_lines, once, read, records_of, running, write
from support.terminal import on_terminal
from support.workers import wait_until

PIPE_BYTES = 65_536
"""What Linux keeps in a pipe."""


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ("work:double", b'1\n\n "a"\r\n  \n3', [b"2", b'"aa"', b"6"]),
        ("work:double", '["ü", {"a": 1}]\n'.encode(), ['["ü",{"a":1},"ü",{"a":1}]'.encode()]),
        ("work:double --codec text", "ü\n\nb\n".encode(), ["üü".encode(), b"", b"bb"]),
        ("work:double --codec bytes", b"\xff\r\n\n", [b"\xff\r\xff\r", b""]),
        ("work:nothing", b"1\n2\n", []),
        ("work:split --iter-output", b'"a b"\n', [b'"a"', b'"b"', b"null"]),
        ("work:later -c 3", b"1\n2\n3\n", [b"2", b"3", b"4"]),
        ("work:trio_later -c 3 --async-backend trio", b"1\n2\n3\n", [b"2", b"3", b"4"]),
        ("work", b'{"task":"work.add","args":[1,2]}\n\n', [b"3"]),
        ("work:add", b'{"task":"work.add","kwargs":{"a":1,"b":2},"reply":"r"}\n', [b"3"]),
        ("--exec 'sh -c \"cat; cat\"'", b"a\n\nb\n", [b"a", b"b"]),
        ("--exec 'tr , \"\\n\"' --iter-output", b"a,b\n", [b"a", b"b"]),
        ("work:declares", b"1\n", [b"1"]),
    ],
)  # fmt: skip
def test_every_kind_of_handler_does_its_lines(
    options: str, text: bytes, expected: list[bytes]
) -> None:
    assert sorted(once(text, *shlex.split(options)).out.split(b"\n")[:-1]) == sorted(expected)


def test_an_object_begins_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    done = once(as_lines({"end": str(path)}, 1), "work:Stateful")
    assert json.loads(done.lines[1])[0] == "pre"
    assert path.read_text() == "post"


def test_one_process_keeps_the_order() -> None:
    numbers = list(range(3000))
    assert once(as_lines(*numbers), "work:double").out == as_lines(*(2 * n for n in numbers))


def test_nothing_at_all_is_done_at_once() -> None:
    assert once(b"", "work:double").out == b""


def test_every_line_of_many_is_done_exactly_once() -> None:
    count = 100_000
    done = once(as_lines(*range(count)), "work:double", "-p", "2", "-c", "2")
    assert sorted(map(int, done.lines)) == list(range(0, 2 * count, 2))
    assert f"done={count}" in done.log


def test_what_a_handler_prints_is_no_output() -> None:
    done = once(b"1\n2\n", "work:prints")
    assert done.out == b"1\n2\n"
    assert "seen 1" in done.log


def test_a_line_is_tried_again_after_its_delay() -> None:
    options = ("work:told", "--retry-on", "KeyError", "--retry-delay", "0.3")
    done = once(b"1\n", *options)
    assert json.loads(done.out) == {"retry": 1, "most": 3, "attempt": 2, "queue": "stdin"}
    assert "retried queue=stdin id=1 attempt=1" in done.log


def test_a_handler_may_ask_for_retries(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    once(b"1\n", "work:retry", "--errors", str(errors), code=3)
    assert [each["attempt"] for each in records_of(errors)] == [3]


def test_failures_are_told_and_kept(tmp_path: Path) -> None:
    """Broken JSON is one of them; all other lines are done."""
    errors = tmp_path / "errors"
    errors.write_text("of an earlier run\n")
    text = b'1\n{broken \xff\n\n"bad"\n5\n'
    done = once(text, "work:declares", "--errors", str(errors), "--max-retries", "0", code=3)
    assert done.lines == [b"1", b"5"]
    broken, bad = sorted(records_of(errors), key=lambda each: str(each["id"]))
    assert (broken["id"], broken["queue"], bad["id"], bad["source_message"]) == (
        2,
        "stdin",
        4,
        "bad",
    )
    assert broken["source_base64"]
    assert (bad["exception"], bad["message"], bad["attempt"]) == ("ValueError", "bad", 1)
    assert "failed queue=stdin id=4 attempt=1" in done.log
    assert " failed=2 " in done.log.splitlines()[-1]
    assert "declared" not in done.log


def test_there_are_no_queues_of_errors_to_go_to(tmp_path: Path) -> None:
    """What a handler declares may name some."""
    errors = tmp_path / "errors"
    once(b'"bad"\n', "work:declares_errors", "--errors", str(errors), code=3)
    (record,) = records_of(errors)
    assert (record["exception"], record["queue"]) == ("ValueError", "stdin")


def test_failures_without_a_file_are_logged() -> None:
    assert 'error="ValueError: cannot do 1"' in once(b"1\n", "work:boom", code=3).log


def test_a_line_that_is_too_long_fails_alone(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    text = b"a\n" + b"x" * (LONGEST_LINE + 1) + b"\nb\n"
    done = once(text, "work:double", "--codec", "text", "--errors", str(errors), code=3)
    assert done.lines == [b"aa", b"bb"]
    (record,) = records_of(errors)
    assert (record["id"], record["exception"]) == (2, "LineTooLongError")
    assert f"{LONGEST_LINE:,} are the most" in str(record["message"])


def test_a_long_line_is_done() -> None:
    body = b"x" * 1_000_000
    assert once(body, "work:double", "--codec", "text").out == body * 2 + b"\n"


def test_a_line_that_kills_its_process_fails_alone(tmp_path: Path) -> None:
    ledger, errors = tmp_path / "ledger", tmp_path / "errors"
    rows = [[str(ledger), f"good{number}", ""] for number in range(40)]
    rows[20] = [str(ledger), "bad", "kill"]
    done = once(as_lines(*rows), "work:note", "--errors", str(errors), code=3)
    assert sorted(done.lines) == sorted(
        f'"good{number}good{number}"'.encode() for number in range(40) if number != 20
    )
    assert ledger.read_text().split().count("bad") == 3
    (record,) = records_of(errors)
    assert (record["id"], record["attempt"], record["exception"]) == (21, 3, "WorkerDied")


def test_a_line_whose_process_is_killed_is_done_again(tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with running("--once", "work:quick_or_wait", "-p", "2") as made:
        write(made, as_lines(1, [str(begun), str(go)], 2))
        os.kill(int(wait_until(lambda: begun.exists() and begun.read_text())), signal.SIGKILL)
        made.wait_for("process-died queue=stdin id=2 attempt=1")
        go.touch()
        assert made.wait() == 0, made.told()
        assert sorted(read(made)) == ['"went"', "1", "2"]


def test_a_time_limit_ends_a_line() -> None:
    done = once(b"100\n0\n", "work:sleep", "--time-limit", "0.3", "--attempts", "1", code=3)
    assert done.lines == [b"0"]
    assert "time limit of 0.3 s" in done.log


def test_processes_are_replaced() -> None:
    done = once(as_lines(*range(40)), "work:pid", "--max-jobs", "10")
    assert (len(done.lines), len(set(done.lines))) == (40, 4)


def test_a_number_of_attempts_is_enough() -> None:
    assert once(as_lines(*range(9)), "work:double", "--stop-after", "3").lines == [b"0", b"2", b"4"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_finished_when_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with running("--once", "work:quick_or_wait") as made:
        write(made, as_lines(1, [str(begun), str(go)], 2, 3), is_all=False)
        wait_until(lambda: begun.exists() and begun.read_text())
        made.signal(number)
        made.wait_for("stopping")
        go.touch()
        assert made.wait() == 4, made.told()
        # The stop may be noticed only when the next line has begun.
        left = int(made.wait_for("unfinished ").split("line=")[1].split()[0])
        assert left >= 3
        assert read(made) == ["1", '"went"', "2", "3"][: left - 1]


def test_what_does_not_finish_in_time_is_left(tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with running("--once", "work:quick_or_wait", "--grace", "0.1") as made:
        write(made, as_lines(1, [str(begun), str(go)], 3))
        wait_until(lambda: begun.exists() and begun.read_text())
        made.signal(signal.SIGTERM)
        assert made.wait() == 4, made.told()
        made.wait_for("unfinished line=2 ")
        assert read(made) == ["1"]


def test_it_ends_quietly_when_nobody_reads_on() -> None:
    def write_for_ever() -> None:
        try:
            while True:
                write(made, b"1\n" * 1000, is_all=False)
        except BrokenPipeError:
            pass

    with running("--once", "work:double", "-p", "2") as made:
        assert made.process.stdout is not None
        writer = threading.Thread(target=write_for_ever)
        writer.start()
        assert made.process.stdout.readline() == "2\n"
        made.process.stdout.close()
        assert made.wait() == 141, made.told()
        writer.join()
        assert [line.split()[2] for line in made.log] == ["working"]


def test_what_cannot_be_written_is_not_done() -> None:
    with (
        Path("/dev/full").open("wb") as full,
        running("--once", "work:double", stdout=full.fileno()) as made,
    ):
        write(made, b"1\n2\n")
        assert made.wait() == 74, made.told()
        assert made.count("output-failed") == made.count("unfinished line=1 ") == 1
        assert not made.count("done=")


def test_stdin_is_read_only_as_work_goes_on(tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    text = memoryview((b'"' + b"x" * 97 + b'"\n') * 10_000)
    with running("--once", "work:quick_or_wait") as made:
        assert made.process.stdin is not None
        write(made, as_lines([str(begun), str(go)]), is_all=False)
        wait_until(begun.exists)
        fd, most = made.process.stdin.fileno(), AHEAD_BYTES + CHUNK_BYTES + PIPE_BYTES
        os.set_blocking(fd, False)
        written = 0
        while written <= most and select.select([], [fd], [], 0.3)[1]:
            written += os.write(fd, text[written:])
        assert PIPE_BYTES < written <= most
        go.touch()
        os.set_blocking(fd, True)
        count = 0
        writer = threading.Thread(target=write, args=(made, bytes(text[written:])))
        writer.start()
        assert made.process.stdout is not None
        for _ in made.process.stdout:
            count += 1
        writer.join()
        assert made.wait() == 0, made.told()
    assert count == 10_001


def test_a_terminal_may_be_typed_into() -> None:
    program = Path(sys.executable).with_name("stalk-worker")
    with on_terminal(program, "--once", "--exec", "tr a b") as terminal:
        terminal.read_until("slots busy")
        terminal.type("aaa\n")
        terminal.read_until("\x1b[Kbbb")  # The bar has given way.
        terminal.type("\x04")
        assert terminal.end() == 0, terminal.shown


def test_no_server_is_asked_for_anything() -> None:
    """Not even what waits in queues, to show it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"stalkd://127.0.0.1:{server.getsockname()[1]}"
        once(b"1\n", "--live", "work:double", url=url)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_file_has_a_bar(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(as_lines(*range(10)))
    with (
        path.open("rb") as file,
        running("--once", "--live", "work:double", stdin=file.fileno()) as made,
    ):
        assert made.wait() == 0
        assert re.search(r"\[[#-]{20}\] +\d+%, .* left, \d+ done", made.told())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-q", "a"], "--queue needs a server"),
        (["-o", "a"], "--output needs a server"),
        (["--url", "unix:/x"], "--url needs a server"),
        (["--on-error", "OSError=a"], "--on-error needs a server"),
        (["--burst"], "--burst needs a server"),
        (["--autoscale", "1..2"], "--autoscale needs a server"),
        (["--idle-exit", "0"], "--idle-exit needs a server"),
        (["--codec", "pickle", "--trusted"], "a pickle is no line"),
        (["--errors", "/no/such/place"], "/no/such/place"),
    ],
)
def test_what_makes_no_sense_is_refused(options: list[str], told: str) -> None:
    assert told in once(b"1\n", "work:double", *options, code=2).log


def test_lines_that_are_pickles_are_refused() -> None:
    assert "say --trusted" in once(b"1\n", "work:pickles", code=1).log
    done = once(b"1\n", "work:pickles", "--trusted", code=1)
    assert "lines cannot be pickles" in done.log


def test_a_handler_that_cannot_begin_is_said() -> None:
    done = once(b"1\n", "work:BadStart", code=1)
    assert "no database today" in done.log
    assert "unfinished" not in done.log


def test_the_input_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("1\n")
    options = ("--once", "work:double", "--errors", str(path))
    with path.open("rb") as file, running(*options, stdin=file.fileno()) as made:
        assert made.wait() == 2
        made.wait_for("that is the input")
    assert path.read_text() == "1\n"


def test_errors_need_once() -> None:
    with running("work:double", "-q", "a", "--errors", "e") as made:
        assert made.wait() == 2
        made.wait_for("--errors is for --once")
