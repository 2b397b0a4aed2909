"""The Dockerfile without docker: linted, what it copies makes the wheel, its commands work."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from stalkd.config import DEFAULT_PORT
from support.command import running
from support.daemon import HOST

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sysconfig.get_path("scripts"), "hadolint")


def instructions() -> list[tuple[str, str]]:
    """What the file says, with lines joined and without comments."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    return [(word, rest) for word, rest in re.findall(r"^(\w+) +(.*)$", text, re.MULTILINE)]


def said(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def copied() -> set[str]:
    """The names in the checkout that go into the image."""
    lines = [each.split() for each in said("COPY") if not each.startswith("--from")]
    return {source for *sources, _ in lines for source in sources}


@pytest.mark.skipif(not HADOLINT.exists(), reason="there is no hadolint for this machine")
def test_hadolint_finds_no_fault() -> None:
    done = subprocess.run([HADOLINT, DOCKERFILE], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_nothing_else_is_sent_to_the_builder() -> None:
    """A checkout may have secrets and caches."""
    lines = [each for each in (ROOT / ".dockerignore").read_text().split("\n") if each]
    first, *rest = [each for each in lines if not each.startswith("#")]
    assert first == "*"
    assert {each[1:] for each in rest if each.startswith("!")} == copied()


@pytest.mark.timeout(300)
def test_what_is_copied_makes_the_wheel(tmp_path: Path) -> None:
    """All that is installed here is in the wheel that the image gets."""
    context, out = tmp_path / "context", tmp_path / "out"
    context.mkdir()
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, context)
    words = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(out)]
    subprocess.run([sys.executable, "-m", *words, str(context)], check=True, timeout=250)
    (wheel,) = out.iterdir()
    built = {re.sub(r".*\.data/data/", "", name) for name in ZipFile(wheel).namelist()}
    installed = {
        os.path.relpath(each.locate(), sys.prefix) if ".." in str(each) else str(each)
        for each in importlib.metadata.files("stalkd") or ()
    }
    made_by_pip = re.compile(r"\.pyc$|^bin/|/(INSTALLER|REQUESTED|direct_url\.json)$")
    assert {name for name in installed if not made_by_pip.search(name)} == built


def test_it_runs_without_root_and_ends_in_order() -> None:
    assert said("USER") == ["11300:11300"]
    assert said("STOPSIGNAL") == ["SIGTERM"]
    assert said("EXPOSE") == [str(DEFAULT_PORT)]


def test_its_command_and_its_check_work(tmp_path: Path) -> None:
    (line,) = said("CMD")
    (volume,) = said("VOLUME")
    command = [str(tmp_path) if each == volume else each for each in json.loads(line)]
    command = [HOST if each == "0.0.0.0" else each for each in command]
    program = Path(sysconfig.get_path("scripts"), command[0])
    (check,) = said("HEALTHCHECK")
    words = json.loads(check.partition("CMD ")[2])
    ping = [str(Path(sysconfig.get_path("scripts"), words[0])), *words[1:]]
    with running(*command[1:], "-p", "0", command=[str(program)]) as daemon:
        assert (tmp_path / "lock").exists()
        variables = {**os.environ, "STALKD_URL": f"stalkd://{HOST}:{daemon.port}"}
        assert subprocess.run(ping, check=False, env=variables).returncode == 0
    assert (
        subprocess.run(ping, check=False, env=variables, stderr=subprocess.DEVNULL).returncode == 3
    )
