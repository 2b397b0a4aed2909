"""Begins a program that is one file: its modules are in the archive at the end of that file.

It is imported as ``onefile``. Extension modules are loaded from memory, so until the finder is in
place only what is built into the interpreter, or is plain Python, may be imported.
"""

from __future__ import annotations

import posix
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec

import _onefile
from onefile_contents import ENTRY, EXTENSIONS, PATH_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:  # Its own name, as `typing` takes a while to load.
    from types import ModuleType

MODULE_OPTIONS = ["-P", "-m"]
"""How a program starts a module of its own in another process: ``sys.executable -P -m MODULE``."""


class Finder:
    """Finds extension modules in the archive, with the libraries that they need."""

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._loaded: set[str] = set()

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return how to load a module, or None if there is none of that name."""
        del path, target
        if name not in EXTENSIONS:
            return None
        file, libraries = EXTENSIONS[name]
        for library in libraries:
            self._load(library)
        return ModuleSpec(name, FromMemory(name, file), origin=file)

    def _load(self, library: str) -> None:
        if library in self._loaded:
            return
        descriptor, held = _onefile.hold(library, _content(library))
        try:
            _onefile.load(held)
        finally:
            posix.close(descriptor)
        self._loaded.add(library)


class FromMemory(ExtensionFileLoader):
    """Loads an extension module of the archive."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module, not yet executed."""
        descriptor, held = _onefile.hold(self.path, _content(self.path))
        spec.origin, file = held, spec.origin
        try:
            return super().create_module(spec)
        finally:
            spec.origin = file
            posix.close(descriptor)


def _content(file: str) -> bytes:
    return __loader__.get_data(f"lib/{file}")  # type: ignore[name-defined,no-any-return]


def _run() -> None:
    sys.meta_path.insert(0, Finder())
    if PATH_VARIABLE:
        sys.path += filter(None, posix.environ.get(b"PYTHONPATH", b"").decode().split(":"))
    if sys.argv[1:3] == MODULE_OPTIONS and len(sys.argv) > len(MODULE_OPTIONS) + 1:
        del sys.argv[:3]
        import runpy  # noqa: PLC0415 - seldom needed

        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        return
    module, function = ENTRY
    getattr(__import__(module, fromlist=[function]), function)()


_run()
