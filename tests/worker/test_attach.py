"""``Queue.attach``: workers that a program starts, and that end with it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stalkd_client import Queue
from stalkd_client.worker import Route
from stalkd_client.worker.attaching.attach import AttachError, process_options

from support.workers import CODE, PATIENCE_S, is_alive, wait_until


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that are attached search modules in the current directory."""
    monkeypatch.chdir(CODE)


@pytest.fixture
def queue(url: str, tube: str) -> Iterator[Queue]:
    with Queue(tube, url) as made:
        yield made


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


SCRIPT = """
import os, sys
from stalkd_client import Queue

class TooLarge(Exception):
    pass

def double(number):
    return number * 2

def square(number):
    if number > 100:
        raise TooLarge(number)
    return number * number

def main():
    numbers, doubled, squares, bad = map(Queue, ["numbers", "doubled", "squares", "bad"])
    with (
        numbers.attach(double, [doubled], readers_per_job=2),
        doubled.attach(square, squares, on_error={TooLarge: {"queue": bad}}, iter_output=False),
    ):
        numbers.push_many([1, 2, 51])
        print(sorted(squares.pop(1, 20) + squares.pop(1, 20)))
        print([each["exception"] for each in bad.pop(1, 20)])

if __name__ == "__main__":
    main()
"""


def run(url: str, script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "STALKD_URL": url},
        timeout=PATIENCE_S,
    )


def test_a_chain_of_queues_in_a_script(url: str, tube: str, tmp_path: Path) -> None:
    script = tmp_path / "chain.py"
    code = SCRIPT
    for name in ("numbers", "doubled", "squares", "bad"):
        code = code.replace(f'"{name}"', f'"{tube}.{name}"')
    script.write_text(code)
    done = run(url, script)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[4, 16]\n['chain.TooLarge: 102']\n"
    assert "moved queue=" in done.stderr


def test_it_runs_and_stops(url: str, tube: str, queue: Queue) -> None:
    queue.push_many([1, 2])
    with Queue(f"{tube}.out", url) as out:
        attachment = queue.attach("work:double", out, readers_per_job=2)
        assert attachment.is_running
        assert repr(attachment) == f"<Attachment work:double of {tube}, process {attachment.pid}>"
        assert len(children_of(attachment.pid)) == 2
        queue.block_until_empty(PATIENCE_S)
        assert sorted(out.pop(2)) == [2, 4]
        with pytest.raises(TimeoutError, match="was still running after 0 s"):
            attachment.wait(0)
        assert attachment.stop() == 0
        assert (attachment.is_running, attachment.stop(), attachment.wait()) == (False, 0, 0)
        assert repr(attachment).endswith("ended with 0>")


def test_processes_are_as_many_as_the_work_demands(
    url: str, tube: str, queue: Queue, tmp_path: Path
) -> None:
    begun, go = [tmp_path / f"begun{number}" for number in range(2)], tmp_path / "go"
    with queue.attach("work:wait_for_file", max_parallel_jobs=3) as attachment:
        assert len(children_of(attachment.pid)) == 1
        queue.push_many([[str(each), str(go)] for each in begun])
        wait_until(lambda: all(each.exists() for each in begun))
        assert len(children_of(attachment.pid)) == 2
        go.touch()


@pytest.mark.parametrize(
    ("readers", "jobs", "expected"),
    [(1, 1, {"processes": 1}), (3, 1, {"processes": 3}), (2, 4, {"autoscale": "2..8"})],
)
def test_readers_and_jobs_are_processes(
    readers: int, jobs: int, expected: dict[str, object]
) -> None:
    assert process_options(readers, jobs) == expected


def test_options_have_their_names(url: str, tube: str, queue: Queue) -> None:
    queue.push_many(["a", "b"])
    attachment = queue.attach(
        "work:boom", retry_on=ValueError, max_retries=1, retry_delay=0,
        on_error={LookupError: "x", Exception: Route(f"{tube}.bad")},
        burst=True, fail_on_error=True,
    )  # fmt: skip
    assert attachment.wait(PATIENCE_S) == 3
    with Queue(f"{tube}.bad", url) as bad:
        assert [each["cur_retry"] for each in bad.pop(9)] == [1, 1]


def test_elements_are_single_outputs(url: str, tube: str, queue: Queue) -> None:
    queue.push("a b")
    with Queue(f"{tube}.out", url) as out:
        queue.attach("work:split", [out, f"{tube}.x"], iter_output=True, burst=True).wait(
            PATIENCE_S
        )
        assert out.pop(9) == ["a", "b", None]


def test_bodies_are_those_of_the_queue(url: str, tube: str) -> None:
    with Queue(tube, url, codec="text") as queue:
        queue.push("plain words")
        queue.attach("work:boom", burst=True, on_error={Exception: f"{tube}.bad"}).wait(PATIENCE_S)
    with Queue(f"{tube}.bad", url) as bad:
        assert bad.pop()[0]["source_message"] == "plain words"


def test_a_job_may_finish_however_often_it_is_told_to_stop(
    url: str, tube: str, queue: Queue, tmp_path: Path
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    queue.push([str(begun), str(go)])
    with queue.attach("work:wait_for_file") as attachment:
        wait_until(begun.exists)
        os.kill(attachment.pid, signal.SIGTERM)
        go.touch()
    assert attachment.wait() == 0
    assert queue.count() == 0


def test_a_worker_that_does_not_stop_is_killed(queue: Queue, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    queue.push([str(begun), str(tmp_path / "never")])
    attachment = queue.attach("work:wait_for_file")
    wait_until(begun.exists)
    assert attachment.stop(timeout=0.1) == -signal.SIGKILL
    wait_until(lambda: queue.count("ready") == 1)


def test_failures_are_logged(tube: str, queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    queue.push("a")
    with caplog.at_level(logging.WARNING, "stalkd_client.worker"):
        queue.attach("work:boom", burst=True).wait(PATIENCE_S)
        wait_until(lambda: caplog.records)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith(f"buried queue={tube} id=")
    assert record.getMessage().endswith("error=ValueError: cannot do a")


@pytest.mark.parametrize(
    ("handler", "options", "error", "expected"),
    [
        ("nowhere:f", {}, AttachError, "exit code 1 .*No module named 'nowhere'"),
        ("work:BadStart", {}, AttachError, "RuntimeError: no database today\nTraceback"),
        ("work:boom", {"proceses": 2}, ValueError, "attach: there is no option .*'processes'"),
        ("work:boom", {"max_retries": -1}, ValueError, "-1 is not in the range"),
        ("work:boom", {"queue": "x"}, ValueError, "no option queue: it is the queue that"),
        ("work:boom", {"output": "x"}, ValueError, "no option output: it is called output_queues"),
        ("work:boom", {"iter_output": True}, AttachError, "--iter-output, but no --output"),
        ("work:boom", {"readers_per_job": 0}, ValueError, "readers_per_job is 0: at least 1"),
        ("work:boom", {"max_parallel_jobs": 0}, ValueError, "max_parallel_jobs is 0: at least 1"),
        ("work:boom", {"on_error": {OSError: 7}}, ValueError, "on-error is text|no option"),
        (lambda message: message, {}, ValueError, "a lambda or inside a function"),
    ],
)  # fmt: skip
def test_what_cannot_begin_says_why(
    queue: Queue, handler: Any, options: dict[str, Any], error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=f"(?s){expected}"):
        queue.attach(handler, **options)


def test_bodies_in_files_are_not_for_workers(url: str, tube: str, tmp_path: Path) -> None:
    with (
        Queue(tube, url, spill=tmp_path) as queue,
        pytest.raises(ValueError, match="leave out spill"),
    ):
        queue.attach("work:double")


@pytest.mark.parametrize("fork", [False, True], ids=["", "forked"])
def test_a_worker_ends_with_its_program(url: str, tube: str, tmp_path: Path, fork: bool) -> None:
    """Whatever ends it, and also if it has forked others that live on."""
    script = tmp_path / "program.py"
    script.write_text(
        "import os, sys, time\n"
        "from stalkd_client import Queue\n"
        "def handle(message): pass\n"
        "if __name__ == '__main__':\n"
        f"    attachment = Queue({tube!r}).attach(handle)\n"
        f"    forked = os.fork() if {fork} else 1\n"
        "    if forked:\n"
        "        print(attachment.pid, forked, flush=True)\n"
        "    time.sleep(1000)\n"
    )
    program = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env={**os.environ, "STALKD_URL": url},
    )
    assert program.stdout is not None
    with program.stdout:
        pid, forked = map(int, program.stdout.readline().split())
    (child,) = children_of(pid)
    program.kill()
    program.wait(PATIENCE_S)
    try:
        wait_until(lambda: not is_alive(pid) and not is_alive(child))
        assert not fork or is_alive(forked)
    finally:
        for each in {pid, forked} - {1}:
            if is_alive(each):
                os.kill(each, signal.SIGKILL)


def test_a_worker_that_has_much_to_say_ends_with_its_program(
    url: str, tube: str, queue: Queue, tmp_path: Path
) -> None:
    """Nobody reads it any more then, though what the program has forked lives on."""
    script = tmp_path / "program.py"
    script.write_text(
        "import os, time\n"
        "from stalkd_client import Queue\n"
        "def handle(message): raise ValueError(chr(1) * 2000)\n"  # 12 kilobytes of JSON.
        "if __name__ == '__main__':\n"
        f"    attachment = Queue({tube!r}).attach(handle)\n"
        "    forked = os.fork()\n"
        "    if forked:\n"
        "        print(attachment.pid, forked, flush=True)\n"
        "    time.sleep(1000)\n"
    )
    program = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env={**os.environ, "STALKD_URL": url},
    )
    assert program.stdout is not None
    with program.stdout:
        pid, forked = map(int, program.stdout.readline().split())
    try:
        program.send_signal(signal.SIGSTOP)  # From now on it does not read, either.
        queue.push_many(range(20))
        wait_until(lambda: queue.count("buried") > 64 // 12, "that is as much as a pipe holds")
        program.kill()
        program.wait(PATIENCE_S)
        wait_until(lambda: not is_alive(pid))
        assert is_alive(forked)
    finally:
        for each in (pid, forked):
            if is_alive(each):
                os.kill(each, signal.SIGKILL)


def test_what_a_script_has_pickled_is_known(url: str, tube: str, tmp_path: Path) -> None:
    """Its classes were in ``__main__`` there."""
    script = tmp_path / "pickles.py"
    script.write_text(
        "from stalkd_client import Queue\n"
        "class Thing:\n"
        "    number = 7\n"
        "def handle(thing): print(thing.number)\n"
        "if __name__ == '__main__':\n"
        f"    queue = Queue({tube!r}, codec='pickle', trusted=True)\n"
        "    queue.push(Thing())\n"
        "    queue.attach(handle, burst=True).wait()\n"
    )
    assert run(url, script).stdout == "7\n"


def test_a_module_that_workers_import_attaches_nothing(url: str, tube: str, tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from stalkd_client import Queue\n"
        "def handle(message): pass\n"
        f"Queue({tube!r}).attach(handle)\n"
    )
    done = run(url, script)
    assert done.returncode == 1
    assert 'under: if __name__ == "__main__":' in done.stderr


def test_what_handlers_write_stays_where_it_was(url: str, tube: str, tmp_path: Path) -> None:
    script = tmp_path / "writes.py"
    script.write_text(
        "import sys\n"
        "from stalkd_client import Queue\n"
        "def handle(message): print('oh', file=sys.stderr); print('hello')\n"
        "if __name__ == '__main__':\n"
        f"    Queue({tube!r}).push(1)\n"
        f"    print(Queue({tube!r}).attach(handle, burst=True).wait())\n"
    )
    done = run(url, script)
    assert (done.stderr, done.stdout.split()) == ("oh\n", ["hello", "0"])
