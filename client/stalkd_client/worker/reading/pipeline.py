"""Whole pipelines: which options each stage has, by the file and by the command line together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
from click.core import ParameterSource

from stalkd_client.worker.naming import split_file
from stalkd_client.worker.reading.optionfile import long_name, options_of, words_of
from stalkd_client.worker.reading.pipelinefile import READERS

OF_WORKER: Final = frozenset(
    {
        "url", "grace", "burst", "idle-exit", "stop-after", "fail-on-error", "stop-at-eof",
        "log-format", "log-level", "live", "name", "no-report",
    }
)  # fmt: skip
"""Options of the whole worker: in a stage they would be misleading."""

OF_ONE_HANDLER: Final = frozenset({"exec", "queue", "output", "iter-output"})
"""Options that all stages together cannot have."""

WITHOUT_SERVER: Final = frozenset({"once", "errors"})
"""Options of a run without queues, which has one handler."""

HOOKS: Final = ("before", "after", "middleware")
"""Options that name code, beside the handler."""

INSTEAD: Final = {"processes": "autoscale", "autoscale": "processes"}
"""Options of which one counts: that which is said where it counts more."""

Given = dict[str, Any]
"""What is given for a handler, by the names of the command's parameters; and ``directory``, where
modules are searched first, and ``where``, which errors begin with. Both may be empty."""


class Document(NamedTuple):
    """A pipeline as it was written. ``source`` is its file, for errors."""

    source: str
    directory: str
    members: Mapping[str, Any]


def stages_of(context: click.Context) -> list[Given]:
    """Return what is given for each stage: one, unless a file with a pipeline is named.

    Raises ValueError for what is wrong with it; PythonFileError.
    """
    file = Path(context.params["handler"] or "")
    if file.suffix not in READERS:
        return [{**context.params, "directory": "", "where": ""}]
    try:
        members = READERS[file.suffix](file)
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    return merged(context, Document(str(file), str(file.resolve().parent), members))


def merged(context: click.Context, document: Document) -> list[Given]:
    """Return what is given for each stage of a pipeline. Raises ValueError.

    What a stage says goes before what the file says for all, and the command line before both.
    """
    typed = [
        each
        for each in options_of(context.command).values()
        if context.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE
    ]
    for each in typed:
        if long_name(each) in WITHOUT_SERVER:
            raise ValueError(
                f"--{long_name(each)} is for one handler, and {document.source} is a pipeline"
            )
        if long_name(each) in OF_ONE_HANDLER:
            raise ValueError(
                f"--{long_name(each)} is for one handler; of a pipeline each stage has its own:"
                f" say it in {document.source}"
            )
    told = {each.name or "": context.params[each.name or ""] for each in typed}
    told = {**{INSTEAD[name]: None for name in told if name in INSTEAD}, **told}
    common = _dashed(document.members)
    stages = common.pop("stage", None)
    _check_common(document.source, common, stages)
    _read(context.command, common, document.source)
    return [
        {**_parsed(context, document, common, number, _dashed(stage)), **told}
        for number, stage in enumerate(stages, 1)
    ]


def _dashed(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in members.items()}


def _check_common(source: str, common: Mapping[str, Any], stages: Any) -> None:
    is_list = isinstance(stages, list) and all(isinstance(each, dict) for each in stages)
    if not (is_list and stages):
        how = "each under [[stage]]" if source.endswith(".toml") else "each a Stage(...)"
        raise ValueError(f"{source}: a pipeline has stages, {how}")
    for name in {*common, *(each for stage in stages for each in stage)} & WITHOUT_SERVER:
        raise ValueError(f"{source}: {name} is for one handler, and not for a pipeline")
    for name in common:
        if name in OF_ONE_HANDLER or name == "handler":
            raise ValueError(f"{source}: {name} is for one stage: write it below a [[stage]]")


def _read(
    command: click.Command, members: Mapping[str, Any], where: str, rest: Sequence[str] = ()
) -> Given:
    """Have the command read what is written in a place. Raises ValueError."""
    try:
        words = words_of(command, members)
        return command.make_context("stalk-worker", [*words, *rest]).params
    except click.ClickException as error:
        raise ValueError(f"{where}: {error.format_message()}") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _parsed(
    context: click.Context,
    document: Document,
    common: Mapping[str, Any],
    number: int,
    stage: dict[str, Any],
) -> Given:
    """Have the command read what is written for a stage. Raises ValueError."""
    shown = stage.get("handler") or stage.get("exec")
    where = f"{document.source}: stage {number}" + (f" ({shown})" if shown else "")
    for name in stage:
        if name in OF_WORKER:
            raise ValueError(f"{where}: {name} is for the whole worker: write it above all stages")
    try:
        handler = _handler(stage.pop("handler", None), document.directory)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    replaced = {INSTEAD.get(name) for name in stage}
    general = {name: value for name, value in common.items() if name not in replaced}
    params = _read(context.command, {**general, **stage}, where, handler)
    if bool(params["handler"]) == bool(params["command"]):
        raise ValueError(f"{where}: name one handler: handler = ..., or exec = ...")
    for name in HOOKS:
        params[name] = tuple(_beside(each, document.directory) for each in params[name])
    return {**params, "directory": document.directory, "where": where}


def _handler(spec: Any, directory: str) -> list[str]:
    """Return the argument of the command; files are looked for beside the pipeline's."""
    if spec is None:
        return []
    if not isinstance(spec, str) or spec.endswith(".toml"):
        raise ValueError(f"handler is text, module:function or FILE.py:function, not {spec!r}")
    return ["--", _beside(spec, directory)]


def _beside(spec: str, directory: str) -> str:
    file, path = split_file(spec)
    return f"{Path(directory, file)}:{path or '*'}" if file else spec
