"""What somebody has meant who named what is not there."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from types import ModuleType

from stalkd_client.tasks.function import Task


def hint(name: str, known: Iterable[str], before: str = "") -> str:
    """Return the end of a sentence that names the nearest, with what comes ``before`` it."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for errors

    near = get_close_matches(name, known, 1)
    return f": did you mean {before}{near[0]}?" if near else ""


def member_of(module: ModuleType, where: str, usual: str) -> str:
    """Return a handler that a module has, as the command line names it, or one it might have."""
    own = (
        name
        for name, each in vars(module).items()
        if inspect.isfunction(each) and each.__module__ == module.__name__ and name[0] != "_"
    )
    return f"{where}:{next(own, usual)}"


def misplaced(error: ModuleNotFoundError, modules: dict[str, ModuleType]) -> str:
    """Return ``a:b`` for ``a.b`` that is no module but in one, or near to it; nothing otherwise."""
    parent, _, last = (error.name or "").rpartition(".")
    module = modules.get(parent)
    if module is None:
        return ""
    if callable(getattr(module, last, None)) or isinstance(getattr(module, last, None), Task):
        return f": did you mean {parent}:{last}?"
    return hint(last, vars(module), f"{parent}:")
