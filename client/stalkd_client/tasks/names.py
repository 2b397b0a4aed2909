"""Which name a function has, and which function a name means."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

from stalkd_client.tasks.errors import UnknownTaskError

F = TypeVar("F", bound=Callable[..., Any])

LISTED: Final = 10
"""Tasks that an error names: as many as one takes in at a glance."""


def name_of(function: Callable[..., Any]) -> str:
    """Return the dotted path by which a worker finds a function. Raises ValueError."""
    module = getattr(function, "__module__", None)
    path = getattr(function, "__qualname__", None)
    if not module or not path:
        raise ValueError(f"{function!r} has no name of its own: give it one with name=")
    if "<" in path:
        raise ValueError(
            f"{module}.{path} is out of a worker's reach: define it at the top of a module, or"
            " give it a name that workers know with name="
        )
    return f"{_main_module(path) if module == '__main__' else module}.{path}"


def label_of(function: Callable[..., Any]) -> tuple[str, str]:
    """Return a function's name; and why no worker finds it by that, or nothing.

    So it may have ``@task`` in an interpreter or inside a test, be called, and run inline.
    """
    try:
        return name_of(function), ""
    except ValueError as error:
        module, path = (getattr(function, each, None) for each in ("__module__", "__qualname__"))
        return f"{module}.{path}" if path else type(function).__name__, str(error)


def _main_module(path: str) -> str:
    """Return the name by which others import the program that runs. Raises ValueError."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.module
        return str(spec.name)
    file = getattr(main, "__file__", None)
    if file is not None and _is_importable(Path(file)):
        return Path(file).stem
    raise ValueError(
        f"{path} is in __main__, which no worker can import: put it into a module, or give it a"
        " name that workers know with name="
    )


def _is_importable(file: Path) -> bool:
    """Tell whether ``import NAME`` would find this script: it does if workers start beside it."""
    if not file.stem.isidentifier():
        return False
    try:
        spec = find_spec(file.stem)
        return spec is not None and spec.origin is not None and file.samefile(spec.origin)
    except (ImportError, OSError, ValueError):
        return False


def resolve(name: str, allowed: Mapping[str, F]) -> F:
    """Return the function of that name. Raises UnknownTaskError unless it is among the allowed."""
    function = allowed.get(name)
    if function is not None:
        return function
    near = get_close_matches(name, allowed) or sorted(allowed)
    known = ", ".join(near[:LISTED]) + (", ..." if len(near) > LISTED else "")
    raise UnknownTaskError(f"{name!r} is no task that may run here; there are: {known or 'none'}")
