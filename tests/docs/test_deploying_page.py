"""docs/deploying.md: what can be run is run, and files are read by the programs they are for."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml
from stalkd_client import Queue
from stalkd_client.worker.signals import SIGNALS

from stalkd.server.daemon import DRAINING, STOPPING
from support.command import logging_to, put, running
from support.daemon import HOST, start_stalkd
from support.examples import DOCS, blocks_of
from support.units import UNITS, command, copies, setting
from support.workers import worker

PAGE = (DOCS / "deploying.md").read_text()
BLOCKS = blocks_of(PAGE)
FILES = {block.file: block.code for block in BLOCKS if block.file}
TYPED = [block for block in BLOCKS if block.language == "console"]
RUN = [block.code for block in TYPED if block.about.strip() == "run"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that has all files of the page."""
    for name, code in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(code)
    return tmp_path


def shape(text: str) -> list[str]:
    """Words without the numbers: sizes and times differ."""
    return re.sub(r"\d+", "N", text).split()


def test_every_block_is_a_file_or_says_whether_it_is_run() -> None:
    assert {block.about.strip() for block in TYPED} == {"run", "not-run"}
    assert len(RUN) == 2
    assert all(block.file for block in BLOCKS if block not in TYPED)


@pytest.mark.parametrize("code", RUN, ids=range(len(RUN)))
def test_commands_print_what_is_shown(code: str, tmp_path: Path) -> None:
    with logging_to(tmp_path / "state") as (_, wire):
        wire.ask(b"use mail")
        put(wire)
    programs = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    with start_stalkd() as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        variables = {**os.environ, "PATH": programs, "STALKD_URL": url}
        for typed, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", code, re.MULTILINE):
            done = subprocess.run(
                ["bash", "-c", typed], check=True, cwd=tmp_path, env=variables,
                capture_output=True, text=True, timeout=30,
            )  # fmt: skip
            assert shape(done.stdout + done.stderr) == shape(shown)


@pytest.mark.needs("systemd-analyze")
def test_systemd_takes_the_drop_ins(place: Path) -> None:
    drop_ins = sorted(place.glob("*.d/*.conf"))
    assert len(drop_ins) == 2
    copies(place)
    units = ["stalkd.service", "stalkd.socket", "stalk-worker@mail.service"]
    variables = {**os.environ, "SYSTEMD_UNIT_PATH": f"{place}:"}
    words = ["systemd-analyze", "verify", "--man=no", *units]
    done = subprocess.run(words, check=False, env=variables, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    drop_ins[0].write_text(drop_ins[0].read_text() + "[Socket]\n[Service]\nNoSuchKey=1\n")
    done = subprocess.run(words, check=False, env=variables, capture_output=True, text=True)
    assert "NoSuchKey" in done.stderr, "the drop-ins were not read"


def test_the_worker_does_what_its_file_says(place: Path) -> None:
    (program, file) = command("stalk-worker@.service", place, "mail")
    with start_stalkd() as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        path = str(place / "workers" / Path(file).name)
        with (
            worker(url, path, command=[program]),
            Queue("mail", url) as mail,
            Queue("sent", url) as sent,
        ):
            mail.push({"to": "you@example.org"})
            assert sent.pop(1, timeout=30) == ["sent to you@example.org"]


def test_the_daemon_takes_the_options(place: Path) -> None:
    name, _, value = (place / "stalkd.env").read_text().strip().partition("=")
    words = command("stalkd.service", place, **{name: value})
    assert len(words) == 3 + len(value.split())
    with running("-l", HOST, "-p", "0", command=words) as daemon:
        assert not [line for line in daemon.log if "WARNING" in line]


def test_the_environment_is_that_of_the_usual_port(place: Path) -> None:
    assert (place / "workers" / "mail.env").read_text() == f"STALKD_URL=stalkd://{HOST}:11300\n"


def test_the_services_of_the_compose_file(place: Path) -> None:
    """Their volumes, commands and times go together."""
    services = yaml.safe_load((place / "compose.yaml").read_text())["services"]
    mail = services["mail"]
    program, *options = mail["command"]
    (volume,) = mail["volumes"]
    here, there, _ = volume.split(":")
    assert program == "stalk-worker"
    words = [each.replace(there, str(place / here)) for each in options]
    with start_stalkd() as daemon:
        url = f"stalkd://{daemon.host}:{daemon.port}"
        with worker(url, *words) as made:
            made.wait_for(" working ")
            assert made.stop() == 0
    assert mail["stop_grace_period"] == setting("stalk-worker@.service", "TimeoutStopSec")


def test_paths_are_those_of_the_units() -> None:
    table = PAGE.split("| file | what |")[1].split("\n\n")[0]
    text = "".join(unit.read_text() for unit in UNITS)
    for path in re.findall(r"^\| `(/etc/\S+)`", table, re.MULTILINE):
        assert path.replace("NAME", "%i") in text
    for name in re.findall(r"^\| `/var/lib/(\S+)`", table, re.MULTILINE):
        assert f"StateDirectory={name.replace('NAME', '%i')}\n" in text


def test_the_signals_are_those_of_the_programs() -> None:
    table = PAGE.split("| signal | `stalkd` | `stalk-worker` |")[1].split("\n\n")[0]
    rows = [re.split(r" *\| *", row)[1:4] for row in table.splitlines()[2:]]
    named = {f"SIG{name}" for first, _, _ in rows for name in first.split(", ")}
    assert named == {each.name for each in (*STOPPING, DRAINING, *SIGNALS)} | {"SIGKILL"}


def test_the_words_of_the_status_are_true() -> None:
    from stalkd.server.status import TEXTS  # noqa: PLC0415 - beside what it is for

    for text in TEXTS.values():
        words = re.split(r"[:;,]? *\{", text)[0].split(";")[0]
        assert f"`{words}" in PAGE, words


def test_shell_words_are_well_formed() -> None:
    for block in TYPED:
        for typed in re.findall(r"^\$ (.*)$", block.code, re.MULTILINE):
            assert shlex.split(typed)
