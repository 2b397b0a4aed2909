"""What every test run needs: the right stalkd, and word about what was left out.

Tests run against the installed wheel, never against the work tree: that is what users get,
and a file that the wheel lacks is noticed.

A test that runs another program is marked `@pytest.mark.needs("beanstalkd")`. Where the
program is missing the test is skipped, and the end of the run names the command that brings
it. With CI=true in the environment the test fails instead, so that nothing is left out unseen.
"""

import functools
import os
import shutil
import sysconfig
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import trio
from pytest_timeout import Settings

AsyncTest = Callable[..., Awaitable[None]]

ROOT = Path(__file__).resolve().parent.parent

# Program -> the Debian command that brings it.
TOOLS = {
    "bash": "apt-get install bash",
    "beanstalkd": "apt-get install beanstalkd",
    "jq": "apt-get install jq",
    "fish": "apt-get install fish",
    "git": "apt-get install git",
    "mandoc": "apt-get install mandoc",
    "nc": "apt-get install netcat-openbsd",
    "node": "apt-get install nodejs",
    "npm": "apt-get install npm",
    "strace": "apt-get install strace",
    "systemd-analyze": "apt-get install systemd",
    "zsh": "apt-get install zsh",
}

LEFT_OUT = pytest.StashKey[Counter[str]]()

# On slow shared machines a deadline per example is noise, and a run must be repeatable.
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)


def in_ci() -> bool:
    return os.environ.get("CI") == "true"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = Counter()
    hypothesis.settings.load_profile("ci" if in_ci() else "dev")
    refuse_wrong_stalkd()


def refuse_wrong_stalkd() -> None:
    """Stop the run unless `import stalkd` gives an installed copy of the present sources."""
    installed = Path(sysconfig.get_path("purelib")) / "stalkd"
    spec = find_spec("stalkd")
    found = Path(spec.origin).parent if spec and spec.origin else None
    if found != installed:
        raise pytest.UsageError(
            f"tests run against the wheel installed in {installed.parent}, but `import stalkd` "
            f"finds {found or 'nothing'}; use `make pytest`, or .venv/bin/pytest (not python -m "
            "pytest, which puts the work tree first)"
        )
    if changed := changed_since_build(installed):
        raise pytest.UsageError(
            f"the installed wheel is not built from the present sources: {', '.join(changed)} "
            "changed; use `make pytest`, which rebuilds it"
        )


def changed_since_build(installed: Path) -> list[str]:
    """The modules whose source and installed copy differ."""
    source = ROOT / "stalkd"
    names = {
        str(path.relative_to(top)) for top in (source, installed) for path in top.rglob("*.py")
    }
    return sorted(name for name in names if content(source / name) != content(installed / name))


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


# Before the fixtures are made: they may already want the program.
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for tool in [tool for mark in item.iter_markers("needs") for tool in mark.args]:
        if tool not in TOOLS:
            pytest.fail(f"tests/conftest.py does not know the program {tool!r}", pytrace=False)
        if shutil.which(tool) is None:
            leave_out(item, tool)


def leave_out(item: pytest.Item, tool: str) -> None:
    reason = f"{tool} is missing; to bring it: {TOOLS[tool]}"
    if in_ci():
        pytest.fail(reason, pytrace=False)
    item.config.stash[LEFT_OUT][tool] += 1
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Settings) -> bool | None:
    """Limit a trio test by cancelling it: the usual signal would leave trio's loop in pieces."""
    if not isinstance(item, pytest.Function) or not iscoroutinefunction(item.obj):
        return None
    item.obj = cancelled_after(settings.timeout, item.obj)
    return True


def cancelled_after(seconds: float, test: AsyncTest) -> AsyncTest:
    @functools.wraps(test)
    async def limited(**fixtures: Any) -> None:
        token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as scope:
            # A thread keeps real time; trio's clock may be a mock.
            timer = threading.Timer(seconds, token.run_sync_soon, (scope.cancel,))
            timer.start()
            try:
                await test(**fixtures)
            except BaseException as stop:
                if scope.cancel_called:
                    raise TimeoutError(f"the test took longer than {seconds} s") from stop
                raise
            finally:
                timer.cancel()

    return limited


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.config.stash[LEFT_OUT]
    if not left_out:
        return
    terminalreporter.section("left out")
    for tool, count in sorted(left_out.items()):
        tests = "1 test" if count == 1 else f"{count} tests"
        terminalreporter.line(f"{tests} for want of {tool}; to bring it: {TOOLS[tool]}")
