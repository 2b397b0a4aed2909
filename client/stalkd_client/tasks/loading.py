"""What a worker may run: nothing keeps a list of all tasks, its user names modules and functions.

So a job can start what was meant to be started, and not whatever can be imported.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from stalkd_client.tasks.errors import UnknownTaskError
from stalkd_client.tasks.function import Task


def load(spec: str) -> dict[str, Callable[..., Any]]:
    """Import ``module`` or ``module:function``; return functions by the names of their tasks.

    Of a module these are its tasks, and no plain functions. Raises ImportError, UnknownTaskError.
    """
    module, _, path = spec.partition(":")
    found: Any = import_module(module)
    if not path:
        return dict(pair for each in vars(found).values() for pair in _runnable(each))
    for part in path.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Task) and callable(found):
        return {f"{module}.{path}": found}
    runnable = dict(_runnable(found))
    if not runnable:
        raise UnknownTaskError(f"{module} has no function {path}")
    return runnable


def _runnable(value: object) -> list[tuple[str, Callable[..., Any]]]:
    """Of a ``functools.partial`` the function inside: the rest of its arguments is in the job."""
    if isinstance(value, Task) and value.function is not None:
        return [(value.name, value.function)]
    return []
