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
    system = platform.uname()
    cores = len(os.sched_getaffinity(0))
    yield f"machine: {_cpu_model()}, {cores} cores, {system.system} {system.release}"
    kind, device = file_system(logs)
    yield f"disk: {kind} on {device}, {syncs_per_s(logs):,.0f} syncs/s of 4 KiB each"
    yield from _python(python)
    yield f"against: {_output(['beanstalkd', '-v'])}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _python(python: str) -> Iterator[str]:
    options, flags = json.loads(_output([python, "-c", _ASK_PYTHON]))
    # PGO and LTO. A distribution may build with them in its own way, which shows nowhere.
    wanted = ("--enable-optimizations", "--with-lto")
    found = [f"{option}: {'yes' if option in options else 'no'}" for option in wanted]
    yield f"python: {_output([python, '-VV'])}"
    yield f"  configured with {', '.join(found)}; {flags}"


def _output(words: list[str]) -> str:
    try:
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, timeout=_ASK_LIMIT_S
        )
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    return (done.stdout + done.stderr).strip()
