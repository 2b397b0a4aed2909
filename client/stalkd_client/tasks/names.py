"""Which name a function has, and which function a name means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from stalkd_client.tasks.errors import UnknownTaskError

F = TypeVar("F", bound=Callable[..., Any])

MAINS: Final = frozenset({"__main__", "__mp_main__"})
"""What the program that runs is called by itself, and by processes that multiprocessing spawned."""

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
    if module in MAINS:
        from stalkd_client.tasks.program import importable_name  # noqa: PLC0415 - rarely needed

        module = importable_name(module, path)
    return f"{module}.{path}"


def label_of(function: Callable[..., Any]) -> tuple[str, str]:
    """Return a function's name; and why no worker finds it by that, or nothing.

    So it may have ``@task`` in an interpreter or inside a test, be called, and run inline.
    """
    try:
        return name_of(function), ""
    except ValueError as error:
        module, path = (getattr(function, each, None) for each in ("__module__", "__qualname__"))
        return f"{module}.{path}" if path else type(function).__name__, str(error)


def resolve(name: str, allowed: Mapping[str, F]) -> F:
    """Return the function of that name. Raises UnknownTaskError unless it is among the allowed."""
    function = allowed.get(name)
    if function is not None:
        return function
    from difflib import get_close_matches  # noqa: PLC0415 - only for the error

    near = get_close_matches(name, allowed) or sorted(allowed)
    known = ", ".join(near[:LISTED]) + (", ..." if len(near) > LISTED else "")
    raise UnknownTaskError(f"{name!r} is no task that may run here; there are: {known or 'none'}")
