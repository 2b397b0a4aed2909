"""``stalk put``: jobs from an argument, a file, or lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any

import click

from stalkd_client import requests
from stalkd_client.command import output
from stalkd_client.command.exits import EXIT_USAGE, CommandError, sentence
from stalkd_client.command.pouring import known, pour
from stalkd_client.command.progress import Progress
from stalkd_client.command.session import Session, connected
from stalkd_client.command.values import DURATION, KEY, NUMBER, TUBE
from stalkd_client.command.wording import jobs
from stalkd_client.errors import StalkdError
from stalkd_client.requests import DEFAULT_PRIORITY, DEFAULT_TTR


@click.command()
@click.argument("tube", type=TUBE)
@click.argument("body", required=False)
@click.option("--file", type=click.File("rb"), help="The body is what is in it; -: standard input.")
@click.option("--lines", type=click.File("rb"), help="A job for each line of this file, as it is.")
@click.option(
    "--priority",
    type=NUMBER,
    default=DEFAULT_PRIORITY,
    show_default=True,
    help="0: the most urgent.",
)
@click.option("--delay", type=DURATION, default=0.0, help="Not to be reserved before.")
@click.option(
    "--ttr", type=DURATION, default=DEFAULT_TTR, help="Time for a worker.  [default: 60s]"
)
@click.option("--key", type=KEY, help="Only one living job of TUBE has it. *")
@click.option("--ttl", type=DURATION, help="Expires after this. *")
@click.option("--attempts", type=NUMBER, help="Reserves before it dies. *")
@click.option("--dead", type=TUBE, help="Where it goes then. *")
@click.option("--sync", is_flag=True, help="Answer when it is on the disk. *")
@connected
def put(
    session: Session,
    tube: str,
    body: str | None,
    file: IO[bytes] | None,
    lines: IO[bytes] | None,
    key: str | None,
    **options: Any,
) -> None:
    """Put BODY into TUBE; or a --file, or each of its --lines.

    Without any of these, each line of the standard input is a job, and must be JSON; before a line
    that is not, putting stops. * needs stalkd, and so do fractions of seconds.
    """
    if sum(each is not None for each in (body, file, lines)) > 1:
        raise CommandError("say one of BODY, --file and --lines", EXIT_USAGE)
    whole = (
        body.encode(errors="surrogateescape") if body is not None else file.read() if file else None
    )
    if whole is not None:
        _put_one(session, tube, whole, key, options)
        return
    if key is not None:
        raise CommandError("--key is for one job", EXIT_USAGE)
    if lines is None and sys.stdin.isatty():
        raise CommandError("say BODY, or --file, or give me JSON lines to read", EXIT_USAGE)
    bodies = _texts(lines) if lines else json_lines(sys.stdin.buffer)
    _put_many(session, tube, bodies, options)


def _put_one(
    session: Session, tube: str, body: bytes, key: str | None, options: dict[str, Any]
) -> None:
    with session.client(use=tube) as client:
        asked = [requests.put(body, key=key, **options)]
        ((job_id, is_new),) = list(pour(client, asked))
    word = "inserted" if is_new else "there was already"
    session.answer(f"{word} job {job_id}", id=job_id, inserted=is_new)


def _put_many(
    session: Session, tube: str, bodies: Iterable[bytes], options: dict[str, Any]
) -> None:
    progress, done = Progress("put"), 0
    try:
        with session.client(use=tube) as client:
            for job_id, is_new in pour(client, (requests.put(body, **options) for body in bodies)):
                done += 1
                progress.tell(done)
                if session.as_json:
                    output.write_json({"id": job_id, "inserted": is_new})
    except OSError:
        session.note(known(done))
        raise
    except BadLineError as error:
        raise CommandError(f"{error}; {jobs(done)} before it put") from None
    except StalkdError as error:
        raise CommandError(
            f"line {done + 1}: {sentence(error)}; {jobs(done)} before it put"
        ) from None
    finally:
        progress.end()
    if not session.as_json:
        output.write(f"put {jobs(done)} into {tube}")


class BadLineError(ValueError):
    """A line is not what it should be."""


def _texts(source: IO[bytes]) -> Iterator[bytes]:
    for line in source:
        yield line.removesuffix(b"\n")


def json_lines(source: IO[bytes]) -> Iterator[bytes]:
    """Give lines that are JSON, without their ends; empty ones are left out."""
    for number, line in enumerate(source, 1):
        text = line.strip()
        if not text:
            continue
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            raise BadLineError(f"line {number} is no JSON (--lines - takes any text)") from None
        yield text
