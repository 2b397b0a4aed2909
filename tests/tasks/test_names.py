"""Which function a name means, and which name a function has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from stalkd_client import UnknownTaskError, inline, remote_task, task
from stalkd_client.tasks.loading import load
from stalkd_client.tasks.names import name_of, resolve

MODULE = """
from functools import partial
from stalkd_client import remote_task, task

def plain(): return "plain"

@task
def mine(): return "mine"

@task(name="called.otherwise")
def other(): return "other"

def both(a, b): return [a, b]

half = task(partial(both, 1))
far = remote_task("far.away")
number = 1

class Group:
    @staticmethod
    def inside(): return "inside"
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "jobs_of_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "jobs_of_test", raising=False)
    return "jobs_of_test"


def test_a_module_means_its_tasks(module: str) -> None:
    allowed = load(module)
    assert list(allowed) == [f"{module}.mine", "called.otherwise", f"{module}.both"]
    assert [each() for each in list(allowed.values())[:2]] == ["mine", "other"]
    assert allowed[f"{module}.both"](1, 2) == [1, 2]  # What is bound comes with the job.


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("plain", "jobs_of_test.plain"),
        ("mine", "jobs_of_test.mine"),
        ("other", "called.otherwise"),
        ("Group.inside", "jobs_of_test.Group.inside"),
    ],
    ids=["plain", "task", "named", "nested"],
)
def test_a_function_may_be_named_alone(module: str, path: str, name: str) -> None:
    allowed = load(f"{module}:{path}")
    assert list(allowed) == [name]
    assert allowed[name]() == path.rpartition(".")[2]


@pytest.mark.parametrize("path", ["missing", "number", "far", "Group.no.deeper"])
def test_what_is_no_function_is_refused(module: str, path: str) -> None:
    with pytest.raises(UnknownTaskError, match="has no function"):
        load(f"{module}:{path}")


def test_only_what_is_allowed_is_found() -> None:
    allowed = {"mail.send": print, "mail.read": print}
    assert resolve("mail.send", allowed) is print
    with pytest.raises(UnknownTaskError, match=r"'os\.system' is no task .*mail\.read, mail\.send"):
        resolve("os.system", allowed)
    with pytest.raises(UnknownTaskError, match=r"there are: mail\.send$"):
        resolve("mail.sendd", {"mail.send": print, "x": print})
    with pytest.raises(UnknownTaskError, match="none"):
        resolve("x", {})
    with pytest.raises(UnknownTaskError, match=r"n8, n9, \.\.\.$"):
        resolve("x", dict.fromkeys(["n", *(f"n{each}" for each in range(1, 10)), "o"], print))


def test_functions_out_of_reach_are_refused_unless_they_are_named() -> None:
    def inner() -> None: ...

    for made in (task(inner), task(lambda: None)):
        with pytest.raises(ValueError, match="out of a worker's reach"):
            made.delay()
        with pytest.raises(ValueError, match="out of a worker's reach"):
            made.options(queue="q").push_many([()])
        with inline() as ran:
            made.delay()
        assert made.name == ran.calls[0].task
    assert task(name="a.b")(inner).options(delay=1).queue == "a.b"


def test_what_has_no_name_is_refused() -> None:
    class Callable:
        def __call__(self) -> None: ...

    with pytest.raises(ValueError, match="no name of its own"):
        name_of(Callable())
    assert task(Callable()).name == "Callable"
    with pytest.raises(ValueError, match="needs a name"):
        remote_task("")


def test_a_tubes_name_must_do() -> None:
    with pytest.raises(ValueError, match="no name for a tube"):
        remote_task("modül.f")
    assert remote_task("modül.f", queue="m").queue == "m"


PROGRAM = """
from stalkd_client import task

@task
def f(): ...

if __name__ == "__main__":
    print(f.name)
    f.delay()
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["program.py"], "program.f"),
        (["-m", "program"], "program.f"),
        (["-m", "package"], "package.__main__.f"),
        (["not-a-name.py"], "f is in __main__, which no worker can import"),
        (["-c", PROGRAM], "f is in __main__, which no worker can import"),
    ],
    ids=["script", "module", "package", "bad-name", "command"],
)
def test_the_main_program(tmp_path: Path, arguments: list[str], said: str) -> None:
    for name in ("program.py", "not-a-name.py", "package/__main__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert said in done.stdout + done.stderr


SPAWNS = """
import multiprocessing
from stalkd_client import task

@task
def f(): ...

def tell():
    print(f.name)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=tell)
    child.start()
    child.join()
"""


def test_the_main_program_in_a_spawned_process(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SPAWNS)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "program.f"


def test_a_main_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an interactive session, and when the file is not where imports look."""

    def f() -> None: ...

    f.__module__, f.__qualname__ = "__main__", "f"
    main: Any = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    for file in (None, "/nowhere/at_all.py", "/nowhere/json.py"):
        main.__file__ = file
        with pytest.raises(ValueError, match="no worker can import"):
            name_of(f)
