"""Files with pipelines: TOML, and Python, which a process of its own imports."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

Members = dict[str, Any]
"""Options by their names, and ``stage``, a list of such mappings."""


class PythonFileError(Exception):
    """A Python file cannot be imported, or has no pipeline; the traceback is part of the text."""


def read_toml(file: Path) -> Members:
    """Return what a TOML file has. Raises OSError; ValueError with file and line."""
    try:
        return tomllib.loads(file.read_bytes().decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file}: {error}") from None


def read_python(file: Path) -> Members:
    """Return the pipeline of a Python file. Raises OSError, PythonFileError.

    A child imports it, as this process has connections, leases and threads that no code of users
    shall touch.
    """
    file.open("rb").close()  # An error about that is shorter here.
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-P", "-m", "stalkd_client.worker.inside.describe", str(file)],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        told: Members = json.loads(done.stdout)
    except ValueError:
        raise PythonFileError(
            f"{file}: the process that imported it ended with exit code {done.returncode}"
        ) from None
    if "error" in told:
        raise PythonFileError(f"{file}: {told['error']}\n{told['traceback']}".rstrip())
    return told


READERS: Final[Mapping[str, Callable[[Path], Members]]] = {".toml": read_toml, ".py": read_python}
"""By the ends of names."""
