"""What goes into the file: modules, and shared libraries in the order of their needs."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePath
from typing import Final, NamedTuple

from packaging.requirements import Requirement

OF_EVERY_SYSTEM: Final = re.compile(
    r"(lib(c|m|dl|pthread|rt|util|resolv|gcc_s)|ld-linux.*)\.so\.\d+$"
)
"""Libraries that are taken from the machine where the program runs: glibc belongs to its kernel and
its name services."""

NOT_PACKED: Final = frozenset(
    "__pycache__ _tests dist-packages distutils ensurepip idlelib lib-dynload"
    " lib2to3 msilib pydoc_data site-packages test tests tkinter turtle turtledemo venv".split()
)
"""Directories and modules that no daemon and no handler imports."""

NOT_LOADED: Final = re.compile(
    r"_test|_xx|xx|_ctypes_test|_tkinter|_curses|_g?dbm|readline|nis|oss"
)
"""Extension modules of tests and terminals; readline's and dbm's licences would be the file's."""

FOR_HANDLERS: Final = re.compile(
    r"_bz2|_codecs_|_crypt|_decimal|_elementtree|_lsprof|_lzma|_multi|_posixshmem|_sqlite3"
    r"|_statistics|_uuid|_zoneinfo|audioop|cmath|pyexpat|spwd|syslog"
)
"""Those that only code of users imports."""


class Module(NamedTuple):
    """A Python file, and its name in the archive; ``with_source``: errors show its lines."""

    name: str
    file: Path
    with_source: bool


class Extension(NamedTuple):
    """An extension module, and the libraries that must be loaded before it, in order."""

    name: str
    file: Path
    needs: tuple[Path, ...]


def standard_library() -> Iterator[Module]:
    """Yield the modules of the standard library that are written in Python."""
    top = Path(sysconfig.get_path("stdlib"))
    for file in sorted(top.rglob("*.py")):
        name = file.relative_to(top)
        if _is_wanted(name):
            yield Module(name.as_posix(), file, with_source=False)


def _is_wanted(name: PurePath) -> bool:
    return not {*name.parts[:-1], name.stem} & NOT_PACKED


def distributions(name: str) -> dict[str, Distribution]:
    """Return a distribution and all that it needs, by name. Raises PackageNotFoundError."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        needed = map(Requirement, found[name].requires or [])
        waiting += [
            each.name
            for each in needed
            if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    return dict(sorted(found.items()))


def modules_of(found: Distribution) -> Iterator[Module]:
    """Yield the modules of a distribution; raises ValueError if some are not Python."""
    for each in sorted(found.files or [], key=str):
        if each.suffix in {".so", ".pyd"}:
            raise ValueError(f"{each} of {found.name} is an extension module: not packed yet")
        if each.suffix == ".py" and each.parts[0] != ".." and _is_wanted(each):
            yield Module(each.as_posix(), Path(str(each.locate())), with_source=True)


def documents_of(found: Distribution) -> Iterator[tuple[str, Path]]:
    """Yield (name, file) of what a distribution says about itself: its version, its licence."""
    for each in sorted(found.files or [], key=str):
        if each.parts[0].endswith(".dist-info") and each.name not in {"RECORD", "direct_url.json"}:
            yield each.as_posix(), Path(str(each.locate()))


def extensions(*, for_handlers: bool) -> Iterator[Extension]:
    """Yield the extension modules of the standard library."""
    for file in sorted(Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so")):
        name = file.name.split(".")[0]
        if NOT_LOADED.match(name) or (FOR_HANDLERS.match(name) and not for_handlers):
            continue
        libpython = sysconfig.get_config_var("INSTSONAME")
        needs = tuple(each for each in needed(file) if each.name != libpython)
        yield Extension(name, file, needs)


def libpython() -> Path:
    """Return the interpreter as a shared library. Raises FileNotFoundError, with what to do."""
    name = str(sysconfig.get_config_var("INSTSONAME"))
    for place in (sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LIBPL")):
        if name.startswith("libpython") and ".so" in name and (Path(place) / name).exists():
            return Path(place) / name
    raise FileNotFoundError(
        f"{sys.base_prefix} has no shared libpython. Take another interpreter: Debian's is"
        " PYTHON=/usr/bin/python3, after apt-get install libpython3-dev; one of your own needs"
        " ./configure --enable-shared, in pyenv PYTHON_CONFIGURE_OPTS=--enable-shared"
    )


def needed(file: Path) -> tuple[Path, ...]:
    """Return the libraries that must be loaded before one, in order, but for the system's."""
    found: dict[str, Path] = {}
    _add_needed(file, found)
    return tuple(found.values())


def _add_needed(file: Path, found: dict[str, Path]) -> None:
    listing = subprocess.check_output(["ldd", str(file)], text=True)  # noqa: S603, S607
    places = dict(re.findall(r"^\s*(\S+) => (/\S+)", listing, re.MULTILINE))
    header = subprocess.check_output(["objdump", "-p", str(file)], text=True)  # noqa: S603, S607
    for name in re.findall(r"^\s*NEEDED\s+(\S+)", header, re.MULTILINE):
        if OF_EVERY_SYSTEM.match(name) or name in found:
            continue
        if name not in places:
            raise FileNotFoundError(f"{name}, which {file} needs, is not on this machine")
        _add_needed(Path(places[name]), found)
        found[name] = Path(places[name])
