"""JavaScript clients: fivebeans with its own tests, jackd with ours. npm has no tests of jackd."""

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from support.daemon import Daemon

JS = Path(__file__).parent / "js"

pytestmark = [
    pytest.mark.needs("node", "npm"),
    pytest.mark.timeout(300),  # npm may have to fetch the packages
]


class Suite(NamedTuple):
    """A file of fivebeans' own tests, and what is expected of it."""

    file: str
    passes: int
    left_out: str = ""  # the name of a test that fails whatever the server does


SUITES = [
    Suite("test-client.js", passes=29),
    Suite("test-runner.js", passes=9),
    # That one wants the name of an error where Node, since version 13, gives its number.
    Suite("test-worker.js", passes=15, left_out="emits the error event on failure"),
]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.file)
def test_fivebeans_own_tests(
    suite: Suite, node_modules: Path, fresh_server: Daemon, tmp_path: Path
) -> None:
    """Every test passes that fivebeans brings, but for the one named above."""
    package = node_modules / "fivebeans"
    options = ["--require", str(JS / "redirect.js")]
    if suite.left_out:
        options += ["--invert", "--fgrep", suite.left_out]
    assert mocha(f"test/{suite.file}", options, package, fresh_server, tmp_path) == suite.passes


def test_jackd(node_modules: Path, server: Daemon, tmp_path: Path) -> None:
    """A client of promises: the whole life of jobs, many commands at once, every refusal."""
    assert mocha(str(JS / "jackd.test.js"), [], node_modules, server, tmp_path) == 10


def mocha(tests: str, options: list[str], package: Path, server: Daemon, scratch: Path) -> int:
    """Run mocha on a file inside an installed package; how many tests passed, if all did."""
    node_modules = package if package.name == "node_modules" else package.parent
    report = scratch / "report.json"
    environment = {
        **os.environ,
        "NODE_PATH": str(node_modules),
        "SERVER_HOST": server.host,
        "SERVER_PORT": str(server.port),
    }
    command = ["node", str(node_modules / "mocha/bin/mocha.js"), *options, "--exit"]
    command += ["--timeout", "8000", "--reporter", "json"]
    ran = subprocess.run(
        [*command, "--reporter-option", f"output={report}", tests],
        cwd=package,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert report.exists(), f"mocha made no report: {ran.stdout}\n{ran.stderr}"
    told = json.loads(report.read_text())
    failures = {each["fullTitle"]: each["err"].get("message") for each in told["failures"]}
    assert failures == {}, ran.stderr
    return int(told["stats"]["passes"])
