"""Builds ``stalkd``, ``stalk`` and ``stalk-worker`` in ``dist``: one file each, no Python needed.

    python onefile/build.py [--into DIR] [PROGRAM...]

Run it with the interpreter that is to be inside, where stalkd is installed. It needs gcc, binutils
and Python.h.
"""

from __future__ import annotations

import argparse
import py_compile
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Final, NamedTuple

import contents
import linking

HERE: Final = Path(__file__).resolve().parent

EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""When all members of the archive were made: the same build gives the same bytes."""

CONTENTS: Final = '''\
"""What this program is made of."""

ENTRY = {entry!r}
EXTENSIONS = {extensions!r}
PATH_VARIABLE = {path_variable!r}
'''


class Program(NamedTuple):
    """``runs_handlers``: it imports code of users, so all of the standard library is in it."""

    module: str
    function: str
    runs_handlers: bool


PROGRAMS: Final = {
    "stalkd": Program("stalkd.cli", "main", runs_handlers=False),
    "stalk": Program("stalkd_client.command", "main", runs_handlers=False),
    "stalk-worker": Program("stalkd_client.worker", "main", runs_handlers=True),
}


class Builder:
    """Builds programs; what is the same in all of them is made once, in a directory ``stage``."""

    def __init__(self, stage: Path) -> None:
        """Compile the modules, and link what starts them. Raises OSError, ValueError."""
        self._stage = stage
        self._found = contents.distributions("stalkd")
        modules = [each for found in self._found.values() for each in contents.modules_of(found)]
        self._members = [*self._compiled([*contents.standard_library(), *modules])]
        for found in self._found.values():
            self._members += contents.documents_of(found)
        self._launcher = linking.launcher(stage)

    def build(self, name: str, into: Path) -> str:
        """Write a program; return the glibc that it needs at least."""
        program = PROGRAMS[name]
        extensions = [*contents.extensions(for_handlers=program.runs_handlers)]
        libraries = {each.name: each for found in extensions for each in found.needs}
        libraries |= {found.file.name: found.file for found in extensions}
        stripped = [linking.stripped(each, self._stage) for each in libraries.values()]
        file = into / name
        unfinished = into / f".{name}.new"
        unfinished.write_bytes(self._launcher.read_bytes())
        with zipfile.ZipFile(unfinished, "a") as archive:
            for member, source in [*self._members, *self._start(program, extensions)]:
                _add(archive, member, source)
            for each in stripped:
                _add(archive, f"lib/{each.name}", each)
        unfinished.chmod(0o755)
        unfinished.rename(file)
        return linking.newest_glibc([self._launcher, *stripped, *linking.inside(self._stage)])

    def _start(
        self, program: Program, extensions: Iterable[contents.Extension]
    ) -> Iterator[tuple[str, Path]]:
        """Yield the modules that begin a program."""
        table = {
            each.name: (each.file.name, tuple(library.name for library in each.needs))
            for each in extensions
        }
        about = self._stage / "onefile_contents.py"
        about.write_text(
            CONTENTS.format(
                entry=(program.module, program.function),
                extensions=table,
                path_variable=program.runs_handlers,
            )
        )
        yield from self._compiled(
            [
                contents.Module("onefile.py", HERE / "start.py", with_source=True),
                contents.Module("onefile_contents.py", about, with_source=False),
            ]
        )

    def _compiled(self, modules: Iterable[contents.Module]) -> Iterator[tuple[str, Path]]:
        for each in modules:
            target = self._stage / "modules" / f"{each.name}c"
            py_compile.compile(
                str(each.file),
                str(target),
                dfile=each.name,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            yield f"{each.name}c", target
            if each.with_source:
                yield each.name, each.file


def _add(archive: zipfile.ZipFile, name: str, file: Path) -> None:
    """Store a member as it is: what is packed must be unpacked at each start."""
    about = zipfile.ZipInfo(name, EPOCH)
    about.external_attr = 0o644 << 16
    archive.writestr(about, file.read_bytes())


def main(arguments: Sequence[str]) -> int:
    """Build what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=", ".join(PROGRAMS))
    parser.add_argument("--into", type=Path, default=Path("dist"), metavar="DIR")
    given = parser.parse_args(arguments)
    if wrong := set(given.programs) - set(PROGRAMS):
        parser.error(f"{min(wrong)} is none of {', '.join(PROGRAMS)}")
    given.into.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as stage:
            builder = Builder(Path(stage))
            for name in given.programs or PROGRAMS:
                glibc = builder.build(name, given.into)
                size = (given.into / name).stat().st_size / 1e6
                sys.stdout.write(f"{given.into / name}: {size:.1f} MB, needs {glibc}\n")
    except (OSError, ValueError, PackageNotFoundError, py_compile.PyCompileError) as error:
        sys.stderr.write(f"onefile/build.py: {error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"onefile/build.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
