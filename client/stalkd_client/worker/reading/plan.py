"""From options, as they were given, to a plan: what they mean together, and whether they fit."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from stalkd_client.address import parse
from stalkd_client.arguments import check_tube
from stalkd_client.worker.crews.scaling import Range
from stalkd_client.worker.declaring import check_trust
from stalkd_client.worker.messages import Setup
from stalkd_client.worker.reading.pipeline import Given
from stalkd_client.worker.reading.route import route_of
from stalkd_client.worker.reporting.identity import check_name
from stalkd_client.worker.settings import MOST_PROCESSES, STDIN, STDOUT, Plan, QueueSpec, Settings

SERVER_ONLY: Final = {
    "queues": "--queue",
    "outputs": "--output",
    "url": "--url",
    "on_error": "--on-error",
    "burst": "--burst",
    "idle_exit": "--idle-exit",
    "autoscale": "--autoscale",
    "stop_at_eof": "--stop-at-eof",
}
"""Options that mean nothing where there is no server, as with ``--once``."""


def read(stages: Sequence[Given]) -> Plan:
    """Return what is meant by the options of all stages. Raises ValueError."""
    if stages[0]["once"]:
        stages = [_without_server(each) for each in stages]
    elif stages[0]["errors"] is not None:
        raise ValueError("--errors is for --once; on a server, records stand beside their jobs")
    if stages[0]["name"] is not None:
        check_name(stages[0]["name"])
    of_worker = ("idle_exit", "stop_after", "fail_on_error", "stop_at_eof", "name", "report")
    general = {name: stages[0][name] for name in of_worker}  # They are the same in all stages.
    return Plan(stages=tuple(map(_located, stages)), **general)


def _without_server(given: Given) -> Given:
    """Return what ``--once`` means in other options. Raises ValueError."""
    for name, option in SERVER_ONLY.items():
        if given[name] not in {(), None} and given[name] is not False:
            raise ValueError(f"{option} needs a server, and --once has none")
    if given["codec"] == "pickle":
        raise ValueError("--codec pickle: a pickle is no line; --once needs another codec")
    served = {"queues": (STDIN,), "outputs": (STDOUT,)}
    return {**given, **served, "fail_on_error": True, "report": False}


def _located(given: Given) -> Settings:
    try:
        return _stage(given)
    except ValueError as error:
        raise ValueError(f"{given['where']}: {error}" if given["where"] else str(error)) from None


def _stage(given: Given) -> Settings:
    command = tuple(shlex.split(given["command"] or ""))
    if bool(command) == bool(given["handler"]):
        raise ValueError("name one handler: module:function, a module with tasks, or --exec")
    queues = tuple(map(QueueSpec.parse, given["queues"]))
    least, processes = _processes(given)
    if command and not queues:
        raise ValueError("--exec needs --queue")
    _check(given)
    kept = (
        "url", "concurrency", "prefetch", "attempts", "grace", "max_jobs", "max_age",
        "max_memory", "burst",
    )  # fmt: skip
    return Settings(
        setup=_setup(given, command), queues=queues, processes=processes, least=least,
        where=given["where"],
        **{name: given[name] for name in kept},
    )  # fmt: skip


def _processes(given: Given) -> tuple[int | None, int]:
    """Return how many processes there are at least, None if that does not change, and at most."""
    if given["autoscale"] is None:
        return None, given["processes"] or 1
    if given["processes"] is not None:
        raise ValueError("say either --processes or --autoscale")
    least, most = Range.parse(given["autoscale"])
    if most > MOST_PROCESSES:
        raise ValueError(f"--autoscale {least}..{most}: at most {MOST_PROCESSES} processes")
    return least, most


def _check(given: Given) -> None:
    """Raise ValueError for what could only fail later."""
    parse(given["url"])
    check_trust(given["codec"], trusted=given["trusted"])
    _check_limits(given["soft_time_limit"], given["time_limit"])
    for queue in given["outputs"]:
        check_tube(queue)
    for option in ("before", "after", "middleware"):
        for name in given[option]:
            module, _, path = name.partition(":")
            if not (module and path):
                raise ValueError(f"--{option} {name!r} is not MODULE:NAME")


def _check_limits(soft: float | None, hard: float | None) -> None:
    """Raise ValueError where the process would be gone before its handler is told to end."""
    if soft is not None and hard is not None and soft >= hard:
        raise ValueError(
            f"--soft-time-limit {soft:g} is not below --time-limit {hard:g},"
            " which ends the whole process"
        )


def _setup(given: Given, command: tuple[str, ...]) -> Setup:
    return Setup(
        handler=given["handler"] or "",
        command=command,
        slots=0,
        backend=given["async_backend"],
        codec=given["codec"],
        trusted=given["trusted"],
        outputs=given["outputs"],
        iter_output=given["iter_output"] or None,
        retry_on=given["retry_on"],
        retry_delay=given["retry_delay"],
        max_retries=given["max_retries"],
        backoff=given["backoff"] or None,
        max_delay=given["max_delay"],
        on_error=tuple(map(route_of, given["on_error"])),
        before=given["before"],
        after=given["after"],
        middleware=given["middleware"],
        time_limit=given["time_limit"],
        soft_time_limit=given["soft_time_limit"],
        directory=given["directory"],
    )
