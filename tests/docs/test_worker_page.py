"""The Python on docs/worker.md runs, against real workers where it says so."""

from __future__ import annotations

import re
import shlex
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from stalkd_client import Queue

from support.daemon import start_stalkd
from support.examples import DOCS, Block, blocks_of, run_script, unknown_options
from support.workers import COMMAND, worker

PAGE = (DOCS / "worker.md").read_text()
BLOCKS = [block for block in blocks_of(PAGE) if block.language == "python"]
FILES = {block.file: block.code for block in blocks_of(PAGE) if block.file}
LINES = next(block for block in BLOCKS if "doubled.jsonl" in block.code)
SCRIPTS = [block for block in BLOCKS if not block.file and block != LINES]
FIRST = "shop:double -q numbers -o doubled"


def workers_of(block: Block) -> list[str]:
    named = re.search(r'worker="(.*)"', block.about)
    return [each for each in named[1].split("; ") if each] if named else [FIRST]


def test_there_are_examples() -> None:
    assert (len(FILES), len(SCRIPTS)) == (11, 7)
    assert f"stalk-worker {FIRST.replace('shop:double ', '')} shop:double" in PAGE


@pytest.mark.parametrize("block", SCRIPTS, ids=range(len(SCRIPTS)))
def test_examples_run(block: Block, tmp_path: Path) -> None:
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    with start_stalkd() as daemon, ExitStack() as stack:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        for options in workers_of(block):
            stack.enter_context(worker(url, *shlex.split(options), cwd=tmp_path))
        run_script(block.code, tmp_path, url)


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        ("words:split --iter-output", ["a b"], ["a", "b"]),
        ("nap:nap -c 10", [0.01], [0.01]),
        ("prices:Average", [10, 20], [10.0, 15.0]),
        ("--exec 'sort -u'", ["c"], ["c"]),
    ],
)
def test_the_other_handlers_do_what_they_should(
    options: str, given: list[object], expected: list[object], tmp_path: Path
) -> None:
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    with start_stalkd() as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        with Queue("in", url) as queue:
            queue.push_many(given)
        words = [*shlex.split(options), "-q", "in", "-o", "out", "--burst"]
        with worker(url, *words, cwd=tmp_path) as made:
            assert made.wait() == 0, made.told()
        with Queue("out", url) as queue:
            assert queue.pop(10) == expected


def test_lines_are_done_without_a_server(tmp_path: Path) -> None:
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    (tmp_path / "numbers.jsonl").write_text("1\n{broken\n3\n")
    found = re.search(r"^\$ stalk-worker (--once .*)$", PAGE, re.MULTILINE)
    assert found is not None
    line = f"{shlex.join(COMMAND)} {found[1]}"
    assert subprocess.run(line, shell=True, check=False, cwd=tmp_path).returncode == 3  # noqa: S602
    run_script(LINES.code, tmp_path, "stalkd://127.0.0.1:1")


@pytest.mark.parametrize("name", ["pipeline.toml", "lines.py"])
def test_pipelines_are_run(name: str, tmp_path: Path) -> None:
    for file, code in FILES.items():
        (tmp_path / file).write_text(code)
    with start_stalkd() as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        with Queue("lines", url) as queue:
            queue.push_many([" a b ", " "])
        with worker(url, name, "--burst", cwd=tmp_path) as made:
            assert made.wait() == 0, made.told()
        with Queue("counted", url) as queue:
            assert queue.pop(10) == [["a b", 2]]


def test_every_option_on_the_page_exists() -> None:
    assert not unknown_options(PAGE)
