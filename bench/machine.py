"""What the numbers were measured on."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.wal import file_system, syncs_per_s

# Asked of the interpreter that runs the server, which need not be the one that runs this.
_ASK_PYTHON = """
import json, sysconfig
options = sysconfig.get_config_var("CONFIG_ARGS") or ""
print(json.dumps([options, sysconfig.get_config_var("OPT") or ""]))
"""
_ASK_LIMIT_S = 10


def describe(python: str, logs: Path) -> Iterator[str]:
    """Lines on machine, disk, Python of the server, and beanstalkd."""
    yield machine()
    kind, device = file_system(logs)
    yield f"disk: {kind} on {device}, {syncs_per_s(logs):,.0f} syncs/s of 4 KiB each"
    yield from _python(python)
    yield f"against: {output(['beanstalkd', '-v'])}"


def machine() -> str:
    """A line on processor and kernel."""
    system = platform.uname()
    cores = len(os.sched_getaffinity(0))
    return f"machine: {_cpu_model()}, {cores} cores, {system.system} {system.release}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _python(python: str) -> Iterator[str]:
    options, flags = json.loads(output([python, "-c", _ASK_PYTHON]))
    # PGO and LTO. A distribution may build with them in its own way, which shows nowhere.
    wanted = ("--enable-optimizations", "--with-lto")
    found = [f"{option}: {'yes' if option in options else 'no'}" for option in wanted]
    yield f"python: {output([python, '-VV'])}"
    yield f"  configured with {', '.join(found)}; {flags}"


def output(words: list[str]) -> str:
    """What a command prints, or why it cannot be run."""
    try:
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, timeout=_ASK_LIMIT_S
        )
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    return (done.stdout + done.stderr).strip()
