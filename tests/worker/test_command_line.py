"""What is wrong on the command line is told in its own words, before anything begins."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from support.workers import CODE, COMMAND, PATIENCE_S


def refused(*words: str) -> str:
    done = subprocess.run(
        [*COMMAND, *words],
        check=False, capture_output=True, text=True, timeout=PATIENCE_S, cwd=CODE,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--on-error", "OSError"], "'OSError' names no queue: it is EXC=QUEUE[:S]"),
        (["--on-error", "=q"], "'=q' names no exception: it is EXC=QUEUE[:S]"),
        (["--on-error", "OSError=q:soon"], "'soon' is no number of seconds"),
        (["--codec", "pickle"], "say --trusted"),
        (["--soft-time-limit", "5", "--time-limit", "2"], "5 is not below --time-limit 2"),
        (["--soft-time-limit", "2", "--time-limit", "2"], "2 is not below --time-limit 2"),
    ],
)
def test_what_is_wrong_is_said(options: list[str], expected: str) -> None:
    assert expected in refused("work:double", "-q", "t", *options)


INTERRUPTED = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "stalkd_client.worker.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from stalkd_client.worker import main
main()
"""


def test_ctrl_c_during_the_start_leaves_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", INTERRUPTED, "work:double", "-q", "t"],
        check=False, capture_output=True, text=True, timeout=PATIENCE_S, cwd=CODE,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
