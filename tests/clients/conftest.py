"""Servers for the tests of other people's clients, and the packages fetched for them.

The clients are used unmodified. The Python ones come with the test dependencies; what is not
an ordinary dependency (npm packages, a source archive) is fetched by the package manager while
the tests run, pinned by checksum, into a directory outside the source tree. Where fetching
fails, the tests are left out with the reason; with CI=true they fail.

STALKD_TEST_SERVER=beanstalkd runs all of them against the original, to see that no test asks
for more than clients get there.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import Daemon, start_server

HERE = Path(__file__).parent
FETCH_SECONDS = 240


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "speed: the test asserts a speed; slow machines may fail it")


@pytest.fixture(scope="module")
def server() -> Iterator[Daemon]:
    """A server for all tests of a module; each keeps to tubes of its own."""
    with start_server() as daemon:
        yield daemon
        assert_healthy(daemon)


@pytest.fixture
def fresh_server() -> Iterator[Daemon]:
    """A server for one test alone: first id 1, all counters 0."""
    with start_server() as daemon:
        yield daemon
        assert_healthy(daemon)


@pytest.fixture
def unix_server() -> Iterator[Daemon]:
    """A server on a Unix socket, whose path must be short."""
    with (
        tempfile.TemporaryDirectory(prefix="stalkd-") as directory,
        start_server(unix=f"{directory}/socket") as daemon,
    ):
        yield daemon
        assert_healthy(daemon)


def assert_healthy(daemon: Daemon) -> None:
    """No client, whatever it did, brought the server down or made it log an exception."""
    assert daemon.running, "\n".join(daemon.log)
    assert not [line for line in daemon.log if "Traceback" in line], "\n".join(daemon.log)


@pytest.fixture
def tube(request: pytest.FixtureRequest) -> str:
    """A tube for this test alone."""
    return f"tube-of-{request.node.name}".translate(str.maketrans("[]", "()"))[:200]


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JavaScript clients and what their tests need, just as package-lock.json says."""
    directory = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "js" / name, directory)
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    # npm's own cache makes this work offline from the second time on.
    fetch(["npm", "ci", "--ignore-scripts", "--prefer-offline", *quiet], directory)
    return directory / "node_modules"


@pytest.fixture(scope="session")
def pystalkd_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests that pystalkd has in its source archive only."""
    directory = tmp_path_factory.mktemp("pystalkd")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wanted = ["--no-deps", "--no-binary=:all:", "--requirement", str(HERE / "pystalkd-sdist.txt")]
    fetch([*pip, "download", *wanted], directory)
    (archive,) = directory.glob("pystalkd-*.tar.gz")
    with tarfile.open(archive) as files:
        source = files.extractfile(f"{archive.name.removesuffix('.tar.gz')}/test.py")
        assert source is not None
        tests = directory / "pystalkd_own_tests.py"
        tests.write_bytes(source.read())
    return tests


def fetch(command: list[str], directory: Path) -> None:
    """Run a package manager; without its packages the test is left out, or fails with CI=true."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=FETCH_SECONDS,
        )
        told = "; ".join(done.stderr.splitlines()[:4])
        problem = f"exit code {done.returncode}: {told}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"no answer in {FETCH_SECONDS} s"
    if not problem:
        return
    line = " ".join(command)
    reason = f"could not fetch the packages this test runs (no network?): {line}: {problem}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
