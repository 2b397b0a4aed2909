"""Fills in what beanstalkd answers: ``python -m differential.record FILE...`` in ``tests/``.

The steps and comments of each file stay as they are; all replies are written anew, with a ``*``
for what differs from run to run, and without the lines of ``stats`` that say nothing new. Read the
result before you believe it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from differential.deviations import ANYTHING, masked
from differential.play import play
from differential.script import Conversation, Exchange, Heard, load
from differential.stage import open_stage

_REPLY = re.compile(r"\w+([<|]| is closed)")
_USUAL = (": 0", ": *", ": 65535", ": 10485760", "draining: false")
_STEP = re.compile(r"\w+> |\w+ (half-)?closes|wait |signal ")


def record(path: Path) -> None:
    """Write the replies of beanstalkd into one file."""
    conversation = load(path, "beanstalkd")
    if conversation.deviations:
        sys.exit(f"{path} has deviations: edit it by hand")
    unheard = Conversation(conversation.options, conversation.unix)
    unheard.exchanges = [Exchange(exchange.action) for exchange in conversation.exchanges]
    with open_stage("beanstalkd", conversation) as stage:
        exchanges = iter(play(unheard, stage).exchanges)
    text: list[str] = []
    for line in path.read_text(encoding="ascii").splitlines():
        if not _REPLY.match(line):
            text.append(line)
        if _STEP.match(line):
            text += shown(next(exchanges))
    path.write_text("\n".join(text) + "\n", encoding="ascii")


def shown(exchange: Exchange) -> list[str]:
    """What was heard in one exchange, as it should stand in a file."""
    lines = [str(Heard(heard.who, masked(heard.text))) for heard in exchange.heard]
    if not str(exchange.action).endswith(r"> stats\r\n"):
        return lines
    some: list[str] = []
    for line in lines:
        if not line.endswith(_USUAL):
            some.append(line)
        elif not some[-1].endswith(ANYTHING):
            some.append(line.partition("|")[0] + ANYTHING)
    return some


if __name__ == "__main__":
    for name in sys.argv[1:]:
        record(Path(name))
