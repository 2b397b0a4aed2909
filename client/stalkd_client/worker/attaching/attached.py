"""The command as another program starts it, as ``python -P -m`` and perhaps a descriptor.

What is to be done is the first line of its standard input, as JSON; it stops when that ends. With a
descriptor, all it has to say goes there as JSON, so that what handlers write to the standard error
stays what it was.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from stalkd_client.worker.cli import run, show, stalk_worker
from stalkd_client.worker.leash import INPUT
from stalkd_client.worker.logs import Log
from stalkd_client.worker.reading.pipeline import Document, Given, merged

EXIT_REFUSED = click.UsageError.exit_code


def main(descriptors: Sequence[str]) -> NoReturn:
    """Be the worker."""
    document = Document(*json.loads(_first_line()))
    if not descriptors:
        _be_command(document)
    number = int(descriptors[0])
    os.set_inheritable(number, False)  # noqa: FBT003 - it takes no keyword
    sys.stderr = os.fdopen(number, "w", buffering=1)
    log = Log("json", "info", "warning")
    try:
        stages = _stages(document)
        level = stages[0]["log_level"] or "warning"
        run(stages, Log("json", "debug" if level == "debug" else "info", level))
    except click.ClickException as error:
        log.say("error", "refused", reason=error.format_message())
        sys.exit(EXIT_REFUSED)


def _first_line() -> bytes:
    """Read no more than that: what comes later is waited for by another."""
    line = bytearray()
    while not line.endswith(b"\n") and (one := os.read(INPUT, 1)):
        line += one
    return bytes(line)


def _stages(document: Document) -> list[Given]:
    context = stalk_worker.make_context("stalk-worker", ["--stop-at-eof"])
    try:
        return merged(context, document)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _be_command(document: Document) -> NoReturn:
    try:
        show(_stages(document))
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_REFUSED)


if __name__ == "__main__":
    main(sys.argv[1:])
