"""Rates of tubes, from two looks at them: the part of ``stalk top`` that only computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from stalkd_client.command.tube_stats import count, number
from stalkd_client.documents import Mapping


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server told of all tubes at a time, in seconds."""

    time: float
    tubes: dict[str, Mapping] = field(default_factory=dict)

    @classmethod
    def of(cls, time: float, tubes: Iterable[Mapping]) -> Sample:
        """Return a sample."""
        return cls(time, {str(told["name"]): told for told in tubes})


@dataclass(frozen=True, slots=True)
class Line:
    """A tube as it is shown. Rates are per second; ``age`` is the oldest ready job's, if known."""

    name: str
    put_rate: float
    done_rate: float
    ready: int
    reserved: int
    delayed: int
    buried: int
    age: int | None
    waiting: int


def compare(before: Sample, now: Sample) -> list[Line]:
    """Return what is shown of each tube."""
    span = now.time - before.time
    return [_line(told, before.tubes.get(name), span) for name, told in now.tubes.items()]


def _line(told: Mapping, before: Mapping | None, span: float) -> Line:
    age = told.get("oldest-ready-age")
    return Line(
        name=str(told["name"]),
        put_rate=_rate(told, before, "total-jobs", span),
        done_rate=_rate(told, before, "cmd-delete", span),
        ready=count(told, "ready"),
        reserved=count(told, "reserved"),
        delayed=count(told, "delayed"),
        buried=count(told, "buried"),
        age=None if age is None else int(str(age)),
        waiting=number(told, "current-waiting"),
    )


def _rate(told: Mapping, before: Mapping | None, key: str, span: float) -> float:
    """Return how fast a total grows; 0 for a tube that has not been looked at before."""
    if before is None or span <= 0:
        return 0.0
    now, then = number(told, key), number(before, key)
    return (now - then if now >= then else now) / span  # A tube may have begun again.


SORTS: Final[dict[str, Callable[[Line], Any]]] = {
    "name": lambda line: line.name,
    "put": lambda line: -line.put_rate,
    "done": lambda line: -line.done_rate,
    "ready": lambda line: -line.ready,
    "reserved": lambda line: -line.reserved,
    "delayed": lambda line: -line.delayed,
    "buried": lambda line: -line.buried,
    "age": lambda line: -(line.age or 0),
    "waiting": lambda line: -line.waiting,
}
"""Orders of the lines: large numbers first."""


def sort(lines: Iterable[Line], by: str) -> list[Line]:
    """Return the lines in an order; equal ones by name."""
    return sorted(lines, key=lambda line: (SORTS[by](line), line.name))
