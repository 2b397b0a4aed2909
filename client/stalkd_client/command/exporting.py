"""``stalk export``: the jobs of a tube as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import click

from stalkd_client.client import Client
from stalkd_client.command import output, records
from stalkd_client.command.copying import with_bodies
from stalkd_client.command.exits import CommandError
from stalkd_client.command.files import replacing
from stalkd_client.command.progress import Progress
from stalkd_client.command.session import Session, connected, require_stalkd
from stalkd_client.command.tube_stats import STATES
from stalkd_client.command.values import TUBE
from stalkd_client.command.whole_tubes import told_of
from stalkd_client.command.wording import jobs
from stalkd_client.tubes import listed


@click.command()
@click.argument("tube", type=TUBE)
@click.option("--state", type=click.Choice([*STATES, "all"]), default="all", help="Only these.")
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Into this file, which appears when it is complete.",
)
@connected
def export(session: Session, tube: str, state: str, target: Path | None) -> None:
    """Write the jobs of TUBE as JSON lines.

    They are for `stalk import`, or for other programs. They are only looked at, and stay. A job
    that comes or goes meanwhile may be there or not. Bodies are exact: `body` if it is UTF-8, else
    `body_base64`.
    """
    with session.client() as client:
        require_stalkd(client, "beanstalkd lists no jobs, so they cannot be exported")
        told_of(client, tube)
        lines = _lines(client, tube, state)
        if target is None:
            for line in lines:
                output.write(line)
        else:
            number = _save(lines, target)
            session.answer(f"exported {jobs(number)} of {tube} to {target}", exported=number)


def _lines(client: Client, tube: str, state: str) -> Iterator[str]:
    for piece in with_bodies(client, listed(client, tube, state)):
        for told, job in piece:
            yield output.in_json(records.record(told, tube, job.body))


class Source:
    """Lines from a server, and what went wrong with it, to be told from what the file raises."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self.error: OSError | None = None

    def __iter__(self) -> Iterator[str]:
        try:
            yield from self._lines
        except OSError as error:
            self.error = error
            raise


def _save(lines: Iterator[str], target: Path) -> int:
    """Write a file, or to what is no file; return how many lines. Raises CommandError."""
    source = Source(lines)
    try:
        if target.exists() and not target.is_file():  # A device, a pipe: nothing may replace it.
            with target.open("w", encoding="utf-8") as file:
                return _fill(file, source)
        return _replace(target.resolve(), source)
    except OSError as error:
        if error is source.error:
            raise
        raise CommandError(f"cannot write {target}: {error.strerror}") from None


def _replace(target: Path, source: Source) -> int:
    """Write a file beside it, on the disk, and give it its name in the end."""
    with replacing(target) as file:
        return _fill(file, source)


def _fill(file: IO[str], source: Source) -> int:
    progress, number = Progress("exported"), 0
    try:
        for number, line in enumerate(source, 1):
            file.write(line + "\n")
            progress.tell(number)
        file.flush()
    finally:
        progress.end()
    return number
