"""The fixtures that come with the library, as users meet them: in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

USES = """
import os
from pathlib import Path
import pytest
from stalkd_client import Queue, inline, task

seen = []

@task(result=True)
def add(a, b):
    return a + b

@pytest.mark.parametrize("number", [1, 2])
def test_server(stalkd_server, number):
    assert os.environ["STALKD_URL"] == stalkd_server.url
    assert stalkd_server.url.startswith("unix:")
    assert stalkd_server.url not in seen
    seen.append(stalkd_server.url)
    with Queue("mail") as queue:
        assert queue.push(number) == 1  # Each test has a server of its own.
        assert queue.pop() == [number]
    assert not add.delay(1, 2).done()
    with stalkd_server.client() as client:
        assert client.stats()["pid"] == stalkd_server.pid
    assert "listening" in stalkd_server.log
    assert "unix:" in repr(stalkd_server)

def test_nothing_is_left():
    assert len(seen) == 2
    assert os.environ["STALKD_URL"] == "unix:/nowhere/stalkd.sock"
    assert not any(Path(url.removeprefix("unix:")).parent.exists() for url in seen)

def test_inline(stalkd_inline):
    assert add.delay(1, 2).result() == 3
    Queue("mail").push(1)
    assert stalkd_inline.values["mail"] == [1]
    assert stalkd_inline.calls[0].args == (1, 2)
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> pytest.Pytester:
    # The plugin as installed, and no other: users have neither trio's nor anybody else's.
    pytester.makepyprojecttoml('[tool.pytest.ini_options]\nfilterwarnings = ["error"]\n')
    return pytester


def inside(run: pytest.Pytester, *more: str) -> pytest.RunResult:
    return run.runpytest_subprocess("-p", "no:cacheprovider", *more)


def test_the_fixtures_work(run: pytest.Pytester) -> None:
    run.makepyfile(USES)
    inside(run).assert_outcomes(passed=4)


def test_the_fixtures_explain_themselves(run: pytest.Pytester) -> None:
    said = inside(run, "--fixtures").stdout.str()
    assert "A stalkd for this test alone" in said
    assert "Whatever is pushed in this test runs at once" in said


def test_a_daemon_that_does_not_start_says_why(
    run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the library is there without what the daemon needs."""
    run.makepyfile(trio="raise ImportError('no trio here')")
    run.makepyfile("def test_it(stalkd_server): ...", plain="def test_plain(): ...")
    monkeypatch.setenv("PYTHONPATH", str(run.path))
    result = inside(run, "-p", "no:trio", "-p", "no:anyio")
    assert "stalkd does not start" in result.stdout.str()
    assert "no trio here" in result.stdout.str()


def test_a_run_without_the_fixtures_loads_next_to_nothing() -> None:
    code = "import sys, stalkd_client.pytest_plugin; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    assert not {"trio", "anyio", "asyncio", "click", "stalkd", "stalkd_client.testing"} & {*loaded}
