"""mypy knows the arguments of ``.delay`` and the type of its result."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api")

PROGRAM = """
from functools import partial
from typing import Any
from stalkd_client import Handle, Tasks, enqueue, inline, remote_task, task

@task
def add(a: int, b: int = 0) -> int:
    return a + b

@task(queue="mail", delay=3, attempts=None)
def send(to: str, *, cc: str = "") -> None: ...

@task(result=True)
async def fetch(url: str) -> bytes:
    return b""

def plain(a: int) -> str:
    return str(a)

number: int = add(1, 2)
handle: Handle[int] = add.delay(1)
number = add.delay(1, b=2).result(timeout=5)
send("a", cc="b")
send.options(priority=0, delay=0).delay("a", cc="b")
body: bytes = fetch.delay("x").result()
async def main() -> bytes:
    return await fetch("x")
handles: list[Handle[int]] = add.push_many([1, 2])
text: str = enqueue(plain, 1).result()
body = enqueue(fetch, "x").result()
number = enqueue(add, 1, b=2).result()
anything: Any = enqueue("far.away", 1, x=2).result()
anything = remote_task("far.away", queue="q").delay(1, x=2).result()
tasks = Tasks(url="unix:/s", result=True, retry_for=3)
text = tasks.task(plain).delay(1).result()
bound: Handle[str] = tasks.task(name="p")(partial(plain, 1)).delay()
with inline(raises=True, handlers={"mail": print}) as ran:
    ran.calls[0].args
state: str = handle.wait(0)

add.delay("x")  # WRONG
add.delay()  # WRONG
add.delay(1, c=2)  # WRONG
send.delay("a", "b")  # WRONG
text = add.delay(1).result()  # WRONG
text = fetch.delay("x").result()  # WRONG
add.options(dealy=1)  # WRONG
add.options(delay="x")  # WRONG
enqueue(plain, "x")  # WRONG
task(prio=1)  # WRONG
Tasks(link="x")  # WRONG
"""


@pytest.mark.timeout(300)
def test_right_calls_pass_and_wrong_ones_do_not(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    cache = tmp_path / "cache"
    said, errors, _ = api.run(["--strict", "--cache-dir", str(cache), str(program)])
    wrong = [
        number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# WRONG")
    ]
    found = sorted({int(line) for line in re.findall(r"program\.py:(\d+): error", said)})
    assert (found, errors) == (wrong, ""), said
