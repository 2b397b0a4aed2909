"""The arguments of a call: do they fit the function, and what is one call among many."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from stalkd_client.codecs import Codec
from stalkd_client.tasks.envelope import because, shown
from stalkd_client.tasks.errors import BadArgumentsError


class Arguments(NamedTuple):
    """What a function is called with."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def before(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        """Add what comes later, as ``functools.partial`` does."""
        return Arguments((*self.args, *args), {**self.kwargs, **kwargs})


NOTHING = Arguments((), {})


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return a function's signature; None for those of C that have none."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def check(name: str, signature: inspect.Signature | None, given: Arguments) -> None:
    """Raise BadArgumentsError if a function cannot be called so."""
    if signature is None:
        return
    try:
        signature.bind(*given.args, **given.kwargs)
    except TypeError as error:
        raise BadArgumentsError(f"{name}{signature}: {error}") from None


def blame(name: str, signature: inspect.Signature | None, given: Arguments, codec: Codec) -> None:
    """Raise BadArgumentsError for the first argument that has no body, if it is a single one."""
    for label, value in _labelled(signature, given).items():
        try:
            codec.dumps(value)
        except Exception as error:
            raise BadArgumentsError(
                f"{name}: the argument {label}, {shown(value)}, {because(codec, error)}"
            ) from error


def _labelled(signature: inspect.Signature | None, given: Arguments) -> dict[str, Any]:
    """Return arguments by the names of their parameters, or by their places."""
    names: list[str] = []
    if signature is not None:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [each.name for each in signature.parameters.values() if each.kind in kinds]
    names += [f"number {place + 1}" for place in range(len(names), len(given.args))]
    return {**dict(zip(names, given.args, strict=False)), **given.kwargs}


def of_item(item: object, function: object) -> Arguments:
    """Return what one of many items is called with.

    A tuple has the positional arguments, a dict those by keyword, a ``functools.partial`` of
    ``function`` both; anything else is the only argument.
    """
    if isinstance(item, tuple):
        return Arguments(item, {})
    if isinstance(item, dict):
        if not all(isinstance(name, str) for name in item):
            raise BadArgumentsError(f"a dict names arguments, and {item!r} has other keys")
        return Arguments((), item)
    if isinstance(item, partial):
        if item.func is not function:
            raise BadArgumentsError(f"{item!r} is for another function than {function!r}")
        return Arguments(item.args, item.keywords)
    return Arguments((item,), {})
