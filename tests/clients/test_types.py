"""What type checkers know of the client library: for its users as for us."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.needs("node", "npm"),
    pytest.mark.timeout(300),  # npm may have to fetch the packages
]

TABLES = re.compile(
    r"stalkd_client\.((client\.Client|aio\.AsyncClient)\.[a-z_]+|task|enqueue|remote_task)"
)
"""The methods that are entries of tables, and those of the default `Tasks`: their types are
inferred, alike by all checkers."""

SAMPLE = """
from stalkd_client import Client, Job, Lease, Queue
from stalkd_client.aio import AsyncClient


async def main(client: AsyncClient) -> Job:
    number: int = await client.put(b"x", delay=1)
    await client.delete(number)
    return await client.reserve(1)


def work(client: Client, queue: Queue) -> list[Lease]:
    number: int = client.put("x", key="k", tube="t")
    job: Job = client.reserve_job(number)
    reasons: list[str] = client.explain_job(job)[1]
    ids: list[int] = queue.push_many([1, 2], attempts=3)
    return queue.lease(len(ids) + len(reasons))
"""

WRONG = {
    "client.put(1)": "a body is no number",
    "client.put(b'x', prio=1)": "no such option",
    "client.kick()": "how many",
    "client.reserve('1')": "a timeout is no text",
    "client.delete(b'1')": "an id is no text",
    "client.reserve().body.nothing": "no such attribute",
}


def pyright(node_modules: Path, *arguments: str) -> dict[str, Any]:
    """Its report. It asks the first python in PATH where packages are."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(node_modules / ".bin" / "pyright"), "--outputjson", *arguments],
        env={**os.environ, "PATH": path},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_the_public_surface_is_typed(node_modules: Path) -> None:
    report = pyright(node_modules, "--verifytypes", "stalkd_client", "--ignoreexternal")
    symbols = report["typeCompleteness"]["symbols"]
    exported = [symbol for symbol in symbols if symbol["isExported"]]
    assert len(exported) > 500
    causes = {
        symbol["name"]: [each["message"] for each in symbol["diagnostics"]]
        for symbol in exported
        if not symbol["isTypeKnown"] and not TABLES.fullmatch(symbol["name"])
        if any("partially unknown" not in each["message"] for each in symbol["diagnostics"])
    }
    assert causes == {}
    assert report["typeCompleteness"]["exportedSymbolCounts"]["withUnknownType"] == 0


def test_a_program_of_a_user(node_modules: Path, tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(SAMPLE)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    report = pyright(node_modules, "--project", str(tmp_path))
    assert [each["message"] for each in report["generalDiagnostics"]] == []
    assert mypy(path) == (0, "Success: no issues found in 1 source file\n")


def test_mistakes_are_found(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    lines = ["from stalkd_client import Client", "client = Client()", *WRONG]
    path.write_text("\n".join(lines))
    code, said = mypy(path)
    found = {lines[int(number) - 1] for number in re.findall(r"wrong\.py:(\d+): error:", said)}
    assert (code, found) == (1, set(WRONG))


def mypy(path: Path) -> tuple[int, str]:
    cache = f"--cache-dir={path.parent / 'cache'}"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", cache, path.name],
        cwd=path.parent,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stdout
