"""The machine code: the launcher with the interpreter inside, and what it asks of a system."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import contents

HERE: Final = Path(__file__).resolve().parent

TOOLS: Final = {
    "gcc": "gcc libc6-dev",
    "objdump": "binutils",
    "strip": "binutils",
    "ldd": "libc-bin",
}
"""What is run here, and the Debian packages that bring it."""

FLAGS: Final = ("-O2", "-Wall", "-Wextra", "-Werror", "-fPIC")


def launcher(stage: Path) -> Path:
    """Link the program without its archive. Raises FileNotFoundError, CalledProcessError."""
    _demand_tools()
    python = contents.libpython()
    core = stage / "core.so"
    headers = sysconfig.get_path("include")
    # It finds the interpreter and the launcher's function where it is loaded.
    _gcc("-shared", f"-I{headers}", str(HERE / "core.c"), "-o", str(core))
    loaded = [*contents.needed(python), python, core]
    table = _table([stripped(each, stage / "inside") for each in loaded], stage)
    target = stage / "launcher"
    sources = [str(HERE / "launcher.c"), *map(str, table)]
    _gcc(f"-I{HERE}", "-rdynamic", *sources, "-ldl", "-o", str(target))
    return stripped(target, stage / "whole")


def inside(stage: Path) -> list[Path]:
    """Return the libraries that the launcher has inside."""
    return sorted((stage / "inside").iterdir())


def stripped(file: Path, into: Path) -> Path:
    """Return a copy of a library or program without what only debuggers read."""
    into.mkdir(exist_ok=True)
    copy = into / file.name
    if not copy.exists():
        _run("strip", "--strip-unneeded", "-o", str(copy), str(file))
    return copy


def newest_glibc(files: Iterable[Path]) -> str:
    """Return the newest version of glibc that one of the files asks for, as ``glibc 2.36``."""
    found = {
        tuple(map(int, version.split(".")))
        for file in files
        for version in re.findall(r"GLIBC_([\d.]+)", _run("objdump", "-T", str(file)))
    }
    return "glibc " + ".".join(map(str, max(found)))


def _table(libraries: Sequence[Path], stage: Path) -> tuple[Path, Path]:
    """Write the sources of the table of libraries: their bytes, and their names."""
    bytes_, names = stage / "bytes.S", stage / "libraries.c"
    bytes_.write_text(
        '.section .rodata\n.section .note.GNU-stack,"",@progbits\n.section .rodata\n'
        + "".join(
            f'.balign 16\n.global start_{i}\nstart_{i}: .incbin "{each}"\n'
            f".global end_{i}\nend_{i}: .byte 0\n"
            for i, each in enumerate(libraries)
        )
    )
    declared = "".join(
        f"extern const char start_{i}[], end_{i}[];\n" for i in range(len(libraries))
    )
    rows = "".join(
        f'    {{"{each.name}", start_{i}, end_{i}}},\n' for i, each in enumerate(libraries)
    )
    names.write_text(
        f'#include "launcher.h"\n{declared}'
        f"const struct library libraries[] = {{\n{rows}    {{NULL, NULL, NULL}},\n}};\n"
    )
    return bytes_, names


def _demand_tools() -> None:
    missing = {package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        missing.add("libpython3-dev")
    if missing:
        wanted = " ".join(sorted(missing))
        raise FileNotFoundError(f"tools are missing; on Debian: apt-get install {wanted}")


def _gcc(*arguments: str) -> None:
    _run("gcc", *FLAGS, *arguments)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - tools
