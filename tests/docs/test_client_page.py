"""The Python in README.md and docs/client.md runs, and the page names what there is."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import stalkd_client
from stalkd_client import Client, Inline, Queue, StalkdError, TaskError, Tasks, task
from stalkd_client.tasks.inlining import Call
from stalkd_client.tasks.options import Options

from support.daemon import start_server

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text()
EXAMPLES = [
    block
    for name in ("README.md", "docs/client.md")
    for block in re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
]


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_run(code: str, tmp_path: Path) -> None:
    """As they stand, in a file of their own, against a new server; what prints, prints that."""
    script = tmp_path / "example.py"
    script.write_text(code)
    with start_server() as daemon:
        environment = {**os.environ, "STALKD_URL": "stalkd://{}:{}".format(*daemon.address[:2])}
        command = [sys.executable, str(script)]
        done = subprocess.run(
            command, check=False, env=environment, capture_output=True, text=True, timeout=50
        )
    assert (done.returncode, done.stderr) == (0, "")
    if "print(" in code:
        assert re.search(r"you@example\.org|hello|100000", done.stdout)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 7


def test_the_examples_of_tests_pass(pytester: pytest.Pytester) -> None:
    (code,) = (each for each in EXAMPLES if "\ndef test_" in each)
    pytester.makepyfile(code)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_every_error_is_explained() -> None:
    classes = [each for each in vars(stalkd_client).values() if inspect.isclass(each)]
    errors = {each.__name__ for each in classes if issubclass(each, StalkdError | TaskError)}
    named = set(re.findall(r"`(\w+Error)`", PAGE))
    assert errors - {"StalkdError"} <= named


@pytest.mark.parametrize("owner", [Client, Queue])
def test_what_is_called_exists(owner: type) -> None:
    """No method on the page is made up."""
    name = owner.__name__.lower()
    for called in re.findall(rf"\b(?:{name}|{owner.__name__})\.(\w+)\(", PAGE):
        assert callable(getattr(owner, called)), called


def test_every_option_of_tasks_is_explained() -> None:
    """And every part of what inline mode tells."""
    table = PAGE.split("| option | meaning |")[1].split("\n\n")[0]
    named = [
        name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(Options))
    row = PAGE.split("| `ran.calls` |")[1].split("\n")[0]
    assert re.findall(r"`(\w+)`", row) == [field.name for field in dataclasses.fields(Call)]
    for name in re.findall(r"`ran\.(\w+)`", PAGE):
        assert hasattr(Inline(), name)


def test_what_is_called_of_tasks_exists() -> None:
    made = task(name="send")(print)
    for called in set(re.findall(r"\bsend\.(\w+)\(", PAGE)):
        assert callable(getattr(made, called)), called
    for called in set(re.findall(r"\btasks\.(\w+)\b", PAGE)):
        assert callable(getattr(Tasks(), called)), called
    handle = made.handle(1)
    for called in set(re.findall(r"\bhandle\.(\w+)\b", PAGE)):
        assert hasattr(handle, called), called
