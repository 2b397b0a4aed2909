"""Modules by name or from files, as processes import them that run code of users."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from stalkd_client.worker.naming import MAIN, split_file


def search_in(directory: str) -> None:
    """Let modules be found in the current directory, and before it in this one."""
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - it need not exist any more
    if directory:
        sys.path.insert(0, directory)


def load_module(name: str) -> ModuleType:
    """Import a module, or ``path/to/file.py`` under its stem; its directory is searched, too.

    Raises ImportError, and whatever the module raises.
    """
    if not split_file(name)[0]:
        return import_module(name)
    file = Path(name).resolve()
    known = sys.modules.get(file.stem)
    if known is not None:
        if _is_of(known, file):
            return known
        raise ImportError(f"{file}: another module is called {file.stem}: rename the file")
    if "." in file.stem:
        raise ImportError(f"{file}: no module has a dot in its name: rename the file")
    if str(file.parent) not in sys.path[:1]:
        sys.path.insert(0, str(file.parent))
    return _load(file)


def _is_of(module: ModuleType, file: Path) -> bool:
    own = getattr(module, "__file__", None)
    return own is not None and Path(own).resolve() == file


def _load(file: Path) -> ModuleType:
    spec = spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no module")
    module = module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(file.stem, None)
        raise
    return module


def prepare(directory: str, handler: str) -> None:
    """Let modules be found; of a handler in a file, import that.

    It may have been the program that put the jobs: what these have pickled was ``__main__`` there.
    Raises ImportError, and whatever the file raises.
    """
    search_in(directory)
    file, _ = split_file(handler)
    if file:
        sys.modules[MAIN] = load_module(file)
