"""The benchmark of workers runs, as far as nobody else's programs are needed."""

import os
import re
import runpy
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 50


def bench(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "bench" / "peers"), "--rounds", "1", "--patience", "0"]
    return subprocess.run(
        [*command, "--scale", "0.005", *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def test_each_worker_of_ours_has_its_figures() -> None:
    done = bench("--only", "stalk-worker*")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (stalk-worker[^|]*) \| (.*) \|$", done.stdout, re.MULTILINE)
    assert [name for name, _ in rows] == [
        "stalk-worker",
        "stalk-worker, stalkd -b",
        "stalk-worker, tasks, stalkd -b",
        "stalk-worker -p 1",
        "stalk-worker -p 2",
        "stalk-worker -p 4",
    ]
    for _, row in rows[:3]:
        puts, bulk, rate, p50, p99, *_, rss, pss, _others = row.split(" | ")
        assert min(int(each.replace(",", "")) for each in (puts, bulk, rate, rss, pss)) > 0
        assert 0 < float(p50) <= float(p99)


def test_who_lacks_a_program_is_left_out_with_what_brings_it(tmp_path: Path) -> None:
    done = bench("--only", "Huey, thread", "--peers", str(tmp_path))
    assert done.returncode == 2
    assert done.stdout.startswith(f"left out: Huey, thread, which lacks {tmp_path}/huey_consumer")
    assert "make bench-peers" in done.stdout


@pytest.fixture
def parts() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "bench" / "peers" / "records.py"))


@pytest.mark.parametrize("numbers", [[0, 1, 1], [0, 2]], ids=["twice", "never"])
def test_a_job_that_runs_twice_or_never_is_noticed(
    numbers: list[int], parts: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "records"
    path.write_bytes(b"".join(array("q", (1, number)).tobytes() for number in numbers))
    records = parts["Records"](path)
    assert records.count() == len(numbers)
    with pytest.raises(parts["WrongJobs"]):
        records.read()


def test_nobody_waits_for_a_worker_that_has_ended(parts: dict[str, Any], tmp_path: Path) -> None:
    records = parts["Records"](tmp_path / "records")
    with pytest.raises(parts["Stalled"], match="0 of 1 jobs"):
        records.wait_for(1, lambda: False)
