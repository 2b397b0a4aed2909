"""Pipelines of several stages, from TOML and from Python files, in real workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stalkd_client import Queue
from stalkd_client.worker import Pipeline, Route, Stage
from stalkd_client.worker.cli import stalk_worker
from stalkd_client.worker.reading.optionfile import options_of
from stalkd_client.worker.reading.pipeline import (
    HOOKS,
    INSTEAD,
    OF_ONE_HANDLER,
    OF_WORKER,
    WITHOUT_SERVER,
)

from support.workers import COMMAND, PATIENCE_S, is_alive, wait_until, work_off, worker

JOBS = """
import os

def double(number):
    return number * 2

def square(number):
    return number * number

def both(number):
    yield number
    yield -number

def picky(number):
    raise {4: KeyError, 16: OSError}[number](number)

def pid(number):
    return os.getpid()
"""

STAGES = """
[[stage]]
handler = "jobs:double"
queue = "T.numbers"
output = "T.doubled"

[[stage]]
handler = "jobs.py:both"
queue = ["T.doubled", "T.more"]
output = "T.both"
iter-output = true
processes = 2

[[stage]]
handler = "jobs:square"
queue = "T.both"
output = ["T.squares", "T.copies"]
"""

PYTHON = """
print("this is no answer")
from jobs import double
from stalkd_client import Queue, task
from stalkd_client.worker import Pipeline, Stage, handler

class BadError(Exception):
    pass

def picky(number):
    raise BadError(number)

@handler(queue="T.declared", output="T.declared.out")
def declared(number):
    return -number

@task(queue="T.tasks", result=True)
def add(a, b):
    return a + b
"""

PIPELINE = """
pipeline = Pipeline(
    Stage(double, queue="T.numbers", output="T.doubled", processes=2),
    Stage(picky, queue="T.doubled", on_error={BadError: "T.bad"}),
    log_level="debug",
)
if __name__ == "__main__":
    raise SystemExit(pipeline.run())
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with code, which is not the current one of workers."""
    made = tmp_path / "place"
    made.mkdir()
    (made / "jobs.py").write_text(JOBS)
    return made


def write(place: Path, tube: str, text: str, name: str = "pipeline.toml") -> str:
    file = place / name
    file.write_text(text.replace("T.", f"{tube}."))
    return str(file)


def push(url: str, queue: str, *values: object) -> None:
    with Queue(queue, url) as made:
        made.push_many(list(values))


def pop(url: str, queue: str, count: int = 100) -> list[Any]:
    with Queue(queue, url) as made:
        return sorted(made.pop(count, timeout=0))


def refused(file: str, *options: str, code: int = 2) -> str:
    """Run a worker that cannot start; return what it says."""
    done = subprocess.run(
        [*COMMAND, file, *options], check=False, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == code, done.stderr
    return done.stderr


def test_a_burst_does_the_work_of_all_stages(url: str, tube: str, place: Path) -> None:
    """Those behind are idle at first, and have work when those before them have none left."""
    push(url, f"{tube}.numbers", *range(1, 101))
    push(url, f"{tube}.more", 1000)
    done = work_off(url, write(place, tube, STAGES))
    expected = sorted([(2 * n) ** 2 for n in range(1, 101)] * 2 + [10**6] * 2)
    assert pop(url, f"{tube}.squares", 300) == pop(url, f"{tube}.copies", 300) == expected
    assert (done.count(" working "), done.count(" done ")) == (3, 100 + 101 + 202)


def test_what_is_above_all_stages_is_for_all(url: str, tube: str, place: Path) -> None:
    """... unless a stage says something else; and the command line wins."""
    push(url, f"{tube}.a", 4, 16)
    push(url, f"{tube}.b", 4, 16)
    text = """
    retry-on = ["KeyError", "OSError"]
    max-retries = 1
    [[stage]]
    handler = "jobs:picky"
    queue = "T.a"
    [[stage]]
    handler = "jobs:picky"
    queue = "T.b"
    retry-on = "OSError"
    on-error = {KeyError = "T.keys", OSError = "T.os:0"}
    """
    file = write(place, tube, text)
    done = work_off(url, file)
    assert (done.count(f" retried queue={tube}.a"), done.count(f" retried queue={tube}.b")) == (
        2,
        1,
    )
    assert [each["source_message"] for each in pop(url, f"{tube}.keys")] == [4]
    assert [each["source_message"] for each in pop(url, f"{tube}.os")] == [16]
    push(url, f"{tube}.a", 4)
    push(url, f"{tube}.b", 16)
    done = work_off(url, file, "--max-retries", "3", "--on-error", f"Exception={tube}.all")
    assert (done.count(" retried "), done.count(f" to={tube}.all")) == (6, 2)


def test_the_number_of_processes_is_the_nearest_that_is_said(
    url: str, tube: str, place: Path
) -> None:
    """Either a number or a range: they do not contradict each other from different places."""
    text = "processes = 3\n" + STAGES.replace("processes = 2", "autoscale = '2..4'")
    file = write(place, tube, text)
    for options, expected in ((["--autoscale=1..2"], 3), (["-p", "2"], 6), ([], 3 + 2 + 3)):
        with worker(url, file, *options) as made:
            made.wait_for(" working ", 3)
            wait_until(lambda: len(made.children()) == expected, f"{expected} processes")  # noqa: B023 - at once
            assert made.stop() == 0


def test_programs_are_stages_too(url: str, tube: str, place: Path) -> None:
    push(url, f"{tube}.in", 2, 1)
    text = """
    burst = true
    fail-on-error = true
    log-format = "json"
    no-report = true
    [[stage]]
    exec = "sort -n"
    queue = "T.in=2"
    output = "T.out"
    """
    file = write(place, tube, text)
    with worker(url, file) as made:
        assert made.wait() == 0, made.told()
    assert '"slots": 2' in made.wait_for('"event": "working"')
    assert pop(url, f"{tube}.out") == [1, 2]


def test_one_stage_that_cannot_start_stops_all(url: str, tube: str, place: Path) -> None:
    text = STAGES.replace("jobs:square", "jobs:nothing")
    with worker(url, write(place, tube, text)) as made:
        assert made.wait() == 1
    assert "handler=jobs:nothing" in made.wait_for(" handler-refused ")
    assert "jobs has no nothing" in made.told()


def test_sigterm_stops_all_stages(url: str, tube: str, place: Path) -> None:
    with worker(url, write(place, tube, STAGES)) as made:
        made.wait_for(" working ", 3)
        children = made.children()
        assert len(children) == 4
        assert made.stop() == 0
        assert not any(map(is_alive, children))


def test_the_end_of_the_input_stops_it(url: str, tube: str, place: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, write(place, tube, STAGES), "--stop-at-eof"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "STALKD_URL": url},
    )
    assert process.stdin is not None
    assert process.stderr is not None
    with process.stderr:
        for _ in range(3):
            assert b" working " in process.stderr.readline()
        process.stdin.write(b"something\n")
        process.stdin.close()
        try:
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("proceses = 2\n", "pipeline.toml: there is no option 'proceses'; did"),
        ("proceses = 2\n", "; did you mean 'processes'?"),
        ("processes = 'two'\n", "pipeline.toml: processes is a number, not 'two'"),
        ("processes = 0\n", "pipeline.toml: Invalid value for '-p' / '--processes': 0 is"),
        ("processes = true\n", "processes is a number, not True"),
        ("processes = [1]\n", "processes has one value, not [1]"),
        ("backoff = 1\n", "backoff is true or false, not 1"),
        ("codec = 7\n", "codec is text, not 7"),
        ("retry-on = [7]\n", "retry-on is text, not 7"),
        ("on-error = {OSError = 7}\n", "on-error is text, not 7"),
        ("queue = 'q'\n", "pipeline.toml: queue is for one stage: write it below a [[stage]]"),
        ("handler = 'q'\n", "pipeline.toml: handler is for one stage"),
        ("once = true\n", "pipeline.toml: once is for one handler, and not for a pipeline"),
        ("help = true\n", "there is no option 'help'"),
        ("version = true\n", "there is no option 'version'"),
        ("= 2\n", "pipeline.toml: Invalid statement (at line 1, column 1)"),
        ("on-error = {OSError = 'a b'}\n", "pipeline.toml: stage 1 (jobs:a): 'a b'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tube: str, place: Path, text: str, expected: str) -> None:
    file = write(place, tube, f"{text}[[stage]]\nhandler = 'jobs:a'\nqueue = 'q'\n")
    assert expected in refused(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "pipeline.toml: a pipeline has stages, each under [[stage]]"),
        ("[stage]\nhandler = 'a:b'", "a pipeline has stages, each under [[stage]]"),
        ("[[stage]]\nqueue = 'q'", "pipeline.toml: stage 1: name one handler"),
        ("[[stage]]\nexec = 'a'\nhandler = 'a:b'\nqueue = 'q'", "stage 1 (a:b): name one handler"),
        ("[[stage]]\nhandler = 'a:b'\nprocesses = 0", "stage 1 (a:b): Invalid value for '-p'"),
        ("[[stage]]\nhandler = 7", "stage 1 (7): handler is text"),
        ("[[stage]]\nhandler = 'a.toml'", "stage 1 (a.toml): handler is text"),
        ("[[stage]]\nhandler = 'a:b'\n[[stage]]\nhandler = 'c:d'\ngrace = 3",
         "stage 2 (c:d): grace is for the whole worker: write it above all stages"),
        ("[[stage]]\nhandler = 'a:b'\nurl = 'x'", "url is for the whole worker"),
        ("\xff", "pipeline.toml: not UTF-8"),
    ],
)  # fmt: skip
def test_wrong_stages_are_refused(place: Path, text: str, expected: str) -> None:
    file = place / "pipeline.toml"
    file.write_bytes(text.encode("latin-1"))
    assert expected in refused(str(file))


@pytest.mark.parametrize(
    "option", ["--queue=a", "--output=a", "--exec=a", "--iter-output", "--once"]
)
def test_options_of_one_handler_do_not_go_with_a_pipeline(
    tube: str, place: Path, option: str
) -> None:
    said = refused(write(place, tube, STAGES), option)
    assert f"{option.partition('=')[0]} is for one handler" in said
    assert "pipeline.toml" in said


def test_a_file_that_is_not_there_is_named(place: Path) -> None:
    for name in ("none.toml", "none.py"):
        assert f"{name}: No such file" in refused(str(place / name))


# -- Python files -------------------------------------------------------------------------------


def test_a_pipeline_in_a_python_file(url: str, tube: str, place: Path) -> None:
    push(url, f"{tube}.numbers", 1, 2)
    file = write(place, tube, PYTHON + PIPELINE, "pipeline.py")
    done = work_off(url, file)
    bad = [(each["source_message"], each["exception"]) for each in pop_all(url, f"{tube}.bad")]
    assert sorted(bad) == [(2, "pipeline.BadError: 2"), (4, "pipeline.BadError: 4")]
    assert done.count(" process-started ") >= 3
    assert done.count(" working ") == 2  # What is declared beside the pipeline is not run.


def pop_all(url: str, queue: str) -> list[Any]:
    with Queue(queue, url) as made:
        return made.pop(100)


def test_declared_handlers_and_tasks_of_a_file(url: str, tube: str, place: Path) -> None:
    push(url, f"{tube}.declared", 1)
    file = write(place, tube, PYTHON, "my-stages.py")
    push(url, f"{tube}.tasks", {"task": "my-stages.add", "args": [1, 2], "reply": f"{tube}.reply"})
    done = work_off(url, file)
    assert pop(url, f"{tube}.declared.out") == [-1]
    (reply,) = pop_all(url, f"{tube}.reply")
    assert reply["value"] == 3
    assert done.count(" working ") == 2


def test_a_script_can_run_its_pipeline(url: str, tube: str, place: Path) -> None:
    """Handlers and exceptions of the script itself are found, and its exit code is the worker's."""
    push(url, f"{tube}.numbers", 1)
    text = PYTHON + PIPELINE.replace("log_level", "burst=True, fail_on_error=True, log_level")
    file = write(place, tube, text, "script.py")
    done = subprocess.run(
        [sys.executable, file],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "STALKD_URL": url},
        timeout=PATIENCE_S,
    )
    assert done.returncode == 3, done.stderr
    assert "ERROR" not in done.stderr
    (bad,) = pop_all(url, f"{tube}.bad")
    assert bad["exception"] == "script.BadError: 2"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_script_ends_with_its_worker(
    url: str, tube: str, place: Path, number: signal.Signals
) -> None:
    file = write(place, tube, PYTHON + PIPELINE, "script.py")
    with worker(url, command=[sys.executable, file]) as made:
        made.wait_for(" working ", 2)
        (supervisor,) = made.children()
        made.signal(number)
        assert made.process.wait(PATIENCE_S) == (-number if number == signal.SIGKILL else 0)
        wait_until(lambda: not is_alive(supervisor))
        assert "process-died" not in made.told()


def test_a_script_passes_signals_on(url: str, tube: str, place: Path) -> None:
    file = write(place, tube, PYTHON + PIPELINE, "script.py")
    with worker(url, command=[sys.executable, file]) as made:
        made.wait_for(" working ", 2)
        for number, event in (
            (signal.SIGUSR1, " quiet "),
            (signal.SIGUSR2, " resumed"),
            (signal.SIGHUP, " reloaded"),
        ):
            made.signal(number)
            made.wait_for(event)
        assert made.stop() == 0


def test_a_script_is_told_of_wrong_options(url: str, tube: str, place: Path) -> None:
    text = PYTHON + PIPELINE.replace("processes=2", "proceses=2")
    file = write(place, tube, text, "script.py")
    with worker(url, command=[sys.executable, file]) as made:
        assert made.wait() == 2
    made.wait_for("script.py: stage 1 (jobs:double): there is no option 'proceses'; did you mean")


def test_running_without_a_guard_is_refused(url: str, tube: str, place: Path) -> None:
    text = PYTHON + PIPELINE.replace('if __name__ == "__main__":', "if True:")
    assert 'if __name__ == "__main__":' in refused(write(place, tube, text, "p.py"), code=1)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("p.py", "1 / 0", "p.py: ZeroDivisionError: division by zero\nTraceback"),
        ("p.py", "x = 1", "p.py: there is no Pipeline, no @handler(queue=...), and no @task"),
        ("p.py", "def act(x): return x", "p.py:act"),
        ("p.py", "1 / 0", 'Traceback (most recent call last):\n  File "{place}/p.py", line 1'),
        ("p.py", "raise SystemExit(0)", "p.py: SystemExit"),
        ("p.py", "import os; os._exit(9)", "p.py: the process that imported it ended with exit"),
        ("p.py", PYTHON + "a = b = Pipeline()\n", "there are several pipelines, a, b: leave one"),
        ("json.py", "x = 1", "another module is called json: rename the file"),
        ("a.b.py", "x = 1", "no module has a dot in its name: rename the file"),
        ("p.py", PYTHON + "a = Pipeline(Stage(lambda x: x, queue='a'))", "a lambda or inside"),
        ("p.py", PYTHON + "a = Pipeline(Stage(double, queue=object))", "no option"),
    ],
)  # fmt: skip
def test_files_without_a_pipeline_are_refused(
    place: Path, name: str, text: str, expected: str
) -> None:
    if "object" in text:
        text, expected = text.replace("=object", "=object()"), "is no value of an option"
    (place / name).write_text(text)
    assert expected.format(place=place) in refused(str(place / name), code=1)


def test_a_pipeline_of_python_without_stages(place: Path) -> None:
    (place / "p.py").write_text(PYTHON + "a = Pipeline()\n")
    assert "p.py: a pipeline has stages, each a Stage(...)" in refused(str(place / "p.py"))


def test_a_stage_without_a_queue_is_named(url: str, place: Path) -> None:
    (place / "p.toml").write_text("[[stage]]\nhandler = 'jobs:double'\n")
    with worker(url, str(place / "p.toml")) as made:
        assert made.wait() == 1
    line = made.wait_for(" no-queue ")
    assert "stage 1 (jobs:double): say which with queue = ..." in line


def test_a_handler_in_a_file(url: str, tube: str, place: Path) -> None:
    """Its neighbours can be imported, and its main part does not run."""
    push(url, f"{tube}.in", 3)
    text = "from jobs import double\nif __name__ == '__main__':\n    raise SystemExit(1)\n"
    (place / "one.py").write_text(text + "def work(number):\n    return double(number)\n")
    work_off(url, "place/one.py:work", "-q", f"{tube}.in", "-o", f"{tube}.out", cwd=place.parent)
    assert pop(url, f"{tube}.out") == [6]


def test_hooks_may_be_beside_the_pipeline(url: str, tube: str, place: Path) -> None:
    """As functions in Python, by their names in TOML."""
    hooks = "def note(context):\n    print('before', context.args[0], flush=True)\n"
    (place / "hooks.py").write_text(hooks)
    code = (
        f"from hooks import note\n{PYTHON}"
        "p = Pipeline(Stage(double, queue='T.numbers', before=[note]))"
    )
    text = "[[stage]]\nhandler = 'jobs:double'\nqueue = 'T.numbers'\nbefore = 'hooks.py:note'\n"
    for file in (write(place, tube, code, "p.py"), write(place, tube, text)):
        push(url, f"{tube}.numbers", 7)
        done = subprocess.run(
            [*COMMAND, file, "--burst"],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "STALKD_URL": url},
            timeout=PATIENCE_S,
        )
        assert done.stdout == "before 7\n"
        assert "hook-failed" not in done.stderr


def test_what_is_said_of_options_is_said_of_real_ones() -> None:
    named = OF_WORKER | OF_ONE_HANDLER | set(INSTEAD) | set(HOOKS) | WITHOUT_SERVER
    assert named <= set(options_of(stalk_worker))


# -- stages in Python ---------------------------------------------------------------------------


def outer(number: int) -> int:
    return number


class Outer:
    def method(self, number: int) -> int:
        return number

    class InnerError(Exception):
        pass


def test_stages_are_written_as_in_a_file() -> None:
    stage = Stage(
        "jobs:double", queue=["a", Queue("b")], retry_on=(OSError, "jobs.Error"), max_retries=None,
        on_error={ValueError: "bad", OSError: Route("slow", 60), KeyError: {"queue": "k"}},
    )  # fmt: skip
    pipeline = Pipeline(stage, url="stalkd://x", burst=True)
    assert pipeline.members() == {
        "url": "stalkd://x",
        "burst": True,
        "stage": [
            {
                "handler": "jobs:double",
                "queue": ["a", "b"],
                "retry_on": ["OSError", "jobs.Error"],
                "on_error": {"ValueError": "bad", "OSError": "slow:60", "KeyError": "k:0"},
            }
        ],
    }
    assert (repr(stage), repr(pipeline)) == ("<Stage jobs:double>", "<Pipeline of 1 stages>")


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (lambda message: message, "a lambda or inside a function"),
        (Outer().method, "pass a class with message_handler"),
        (Outer(), "as it has no name of its own"),
    ],
)
def test_what_no_other_process_can_find_is_refused(handler: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Stage(handler, queue="q")


def test_wrong_stages_in_python_are_refused() -> None:
    with pytest.raises(TypeError, match="a stage has a handler, or exec="):
        Stage(queue="q")
    with pytest.raises(TypeError, match="is no Stage: write Stage"):
        Pipeline(outer)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no worker finds the exception"):
        Stage(outer, retry_on=Outer.InnerError)
    with pytest.raises(ValueError, match="on_error is a queue"):
        Stage(outer, on_error={OSError: {"tube": "x"}})


def test_an_interpreter_has_no_handlers(url: str) -> None:
    code = "from stalkd_client.worker import Stage\ndef f(m): pass\nStage(f, queue='q')"
    for options, text in ((["-c", code], None), (["-"], code)):
        done = subprocess.run(
            [sys.executable, *options], check=False, input=text, capture_output=True, text=True
        )
        assert "no worker finds f, which was typed into an interpreter" in done.stderr
