"""``stalk import``: jobs from JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import IO, Final

import click

from stalkd_client.client import Client
from stalkd_client.command import records
from stalkd_client.command.exits import CommandError, NeedsStalkdError, sentence
from stalkd_client.command.landing import Landing
from stalkd_client.command.pouring import known
from stalkd_client.command.progress import Progress
from stalkd_client.command.records import Freight, RecordError
from stalkd_client.command.session import Session, connected
from stalkd_client.command.values import TUBE
from stalkd_client.command.wording import jobs
from stalkd_client.errors import ExistsError, StalkdError
from stalkd_client.pieces import pieces

Numbered = tuple[int, Freight]

PIECE: Final = 500
"""Lines that are put together."""


@click.command("import")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--tube", type=TUBE, help="Into this tube, whatever the lines say.")
@click.option(
    "--as", "state", type=click.Choice(["ready"]), help="All become ready, whatever they were."
)
@click.option(
    "--plain", is_flag=True, help="Leave out what beanstalkd does not know, such as keys."
)
@connected
def import_(
    session: Session,
    file: IO[bytes],
    tube: str | None,
    state: str | None,
    plain: bool,
) -> None:
    """Put the jobs that `stalk export` wrote, as they were.

    They come from FILE, or from the standard input. Each line needs a body or a body_base64; pri,
    ttr, state, time-left, key, expires-in, attempts, dead and tube are optional. A file is read to
    its end before the first job is put: if a line is wrong, nothing is done. Of the standard input,
    the lines before a wrong one are put.
    """
    progress = Progress("imported")
    with session.client() as client:
        importer = Importer(client, plain=plain, as_ready=state == "ready")
        try:
            if file.seekable():
                begin = file.tell()  # Somebody may have read a part of it.
                for _ in parsed(file, tube):
                    pass
                file.seek(begin)
            for piece in pieces(parsed(file, tube), PIECE):
                importer.put(piece)
                progress.tell(importer.imported)
        except OSError:
            session.note(known(importer.imported + importer.there))
            raise
        except LineError as error:
            raise CommandError(f"{error}; {jobs(importer.imported)} imported") from None
        finally:
            progress.end()
    there = f", {importer.there} were there" if importer.there else ""
    session.answer(
        f"imported {jobs(importer.imported)}{there}",
        imported=importer.imported,
        there=importer.there,
    )


class LineError(ValueError):
    """A line that cannot be imported."""


def parsed(lines: Iterable[bytes], tube: str | None) -> Iterator[Numbered]:
    """Give the jobs, with the numbers of their lines. Raises LineError."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            freight = records.parse(line, tube)
            freight.put()  # What no server would take is found before anything is sent.
        except (RecordError, ValueError) as error:
            raise LineError(f"line {number} is no job: {error}") from None
        yield number, freight


class Importer:
    """Puts jobs into the tubes they name, and counts them."""

    def __init__(self, client: Client, *, plain: bool, as_ready: bool) -> None:
        """Connect."""
        self.imported: int = 0
        self.there: int = 0
        self._client, self._plain, self._as_ready = client, plain, as_ready
        self._landing = Landing(client, "")

    def put(self, piece: Sequence[Numbered]) -> None:
        """Put jobs in their order, tube by tube."""
        for tube, group in groupby(piece, key=lambda numbered: numbered[1].tube):
            self._client.use(tube)
            self._put([(number, self._fit(number, freight)) for number, freight in group])

    def _fit(self, number: int, freight: Freight) -> Freight:
        fitting = self._landing.fit(freight)
        if fitting != freight and not self._plain:
            raise NeedsStalkdError(
                f"line {number}: beanstalkd knows no keys, lifetimes and fractions of seconds:"
                " --plain leaves them out"
            )
        return fitting

    def _put(self, group: list[Numbered]) -> None:
        freights = [freight.as_ready() if self._as_ready else freight for _, freight in group]
        results = self._landing.put(freights, [None] * len(group), hold_ready=False)
        buried: list[tuple[int, Freight]] = []
        refused: list[tuple[int, StalkdError]] = []
        for (number, _), freight, result in zip(group, freights, results, strict=True):
            landed = result.id if isinstance(result, ExistsError) else result
            if isinstance(landed, StalkdError):
                refused.append((number, landed))
                continue
            self.there += isinstance(result, ExistsError)
            self.imported += not isinstance(result, ExistsError)
            if freight.state == "buried":
                buried.append((landed, freight))
        self._landing.bury(buried)
        for number, error in refused:
            raise LineError(f"the server refused line {number}: {sentence(error)}")
