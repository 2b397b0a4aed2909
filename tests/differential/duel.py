"""Holds stalkd against beanstalkd, turn by turn."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Self

from differential.deviations import masked, translated
from differential.histories import IDS, POLL, TUBES, Turn
from differential.play import align, difference, play
from differential.script import (
    CLOSED,
    SPEAKERS,
    Action,
    Conversation,
    Exchange,
    Heard,
    Leave,
    Send,
    Speaker,
)
from differential.stage import Stage, open_stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ENOUGH_TIME = 0.9
"""Seconds that a history may take. Later, some short time to run might be up, on one side only."""

_ID = re.compile(rb"#(\d+)")
_PROBE = b"put 0 0 1 0\r\n"

LAST_LOOKER = "Z"
LAST_LOOK = [
    Turn(LAST_LOOKER, (command.encode() + b"\r\n",))
    for command in (
        "list-tubes",
        "stats",
        *(f"stats-tube {tube}" for tube in TUBES),
        *(f"stats-job #{job}" for job in range(1, IDS + 1)),
    )
]
"""Asked at the end of every history."""

LATE = 1.0
"""Seconds to wait for a reply of stalkd that beanstalkd has given already."""


class TooSlow(Exception):
    """The servers took so long that a difference would prove nothing."""


class Mismatch(Exception):
    """The two servers differ; the argument is the history up to here as it was played."""

    def __init__(self, played: list[Action], original: list[Heard], heard: list[Heard]) -> None:
        super().__init__(
            f"after {played[-1]}, the original: {'; '.join(map(str, original))}\n"
            f"stalkd: {'; '.join(map(str, heard))}"
        )
        self.played = played


class Referee:
    """Knows, from what was said in a history, who waits, who watches what and who holds what.

    It leaves out turns that could show a known deviation:

    - ``fifo-waiters``: nobody begins to wait for a tube that another connection waits for;
    - ``release-order-on-disconnect``: nobody goes who holds several jobs while others wait.

    What else to leave out is known to `deviations.deviates` and to `Duel.send`.
    """

    def __init__(self, base: int) -> None:
        self.seen: set[str] = set()
        self._base = base
        self._waiting: set[str] = set()
        self._watched: defaultdict[str, set[str]] = defaultdict(lambda: {"default"})
        self._held: defaultdict[str, set[int]] = defaultdict(set)

    def allows(self, turn: Turn) -> bool:
        """Whether the two servers should do the same in this turn."""
        who = turn.who
        if turn.leaves:
            return self._may_go(who)
        if not turn.commands or who in self._waiting:
            return False
        if turn.wild and not self._may_go(who):
            return False
        return not may_wait(turn.commands[-1]) or self._has_no_rival(turn)

    def _may_go(self, who: str) -> bool:
        return len(self._held[who]) <= 1 or not self._waiting - {who}

    def _has_no_rival(self, turn: Turn) -> bool:
        mine = self._watched[turn.who] | {last_word(command) for command in turn.commands}
        return not any(mine & self._watched[who] for who in self._waiting)

    def job_of(self, who: str) -> int | None:
        """A job that the connection holds."""
        return min(self._held[who], default=None)

    def waits(self, who: str) -> None:
        """Note that a reserve was not answered."""
        self._waiting.add(who)

    def notes_answer(self, who: str, command: bytes, head: str) -> None:
        """Learn from one command and the first line of its reply."""
        if head.startswith("< WATCHING") and command.startswith(b"watch "):
            self._watched[who].add(last_word(command))
        elif head.startswith("< WATCHING"):
            self._watched[who].discard(last_word(command))
        elif head in {"< DELETED", "< RELEASED", "< BURIED"} and (job := _ID.search(command)):
            self._held[who].discard(int(job[1]))
        elif head.startswith("< RESERVED"):
            self._held[who].add(int(head.split()[2]) - self._base)

    def notes_heard(self, who: str, text: str) -> None:
        """Learn from any line: jobs come, and connections end, at any time."""
        if text.startswith("< RESERVED"):
            self._held[who].add(int(text.split()[2]) - self._base)
            self._waiting.discard(who)
        elif text == CLOSED:
            self.forgets(who)

    def forgets(self, who: str) -> None:
        """Note that the connection is no more."""
        self._waiting.discard(who)
        self._watched.pop(who, None)
        self._held.pop(who, None)
        self.seen.discard(who)


def may_wait(command: bytes) -> bool:
    """Whether a command could be a reserve that is not answered at once."""
    return command.startswith(b"reserve") and command != POLL


def last_word(command: bytes) -> str:
    """The name in a command that ends with one."""
    words = command.split()
    return words[-1].decode("latin-1") if words else ""


class Duel:
    """Both servers, running, brought back after each history to where nothing is left of it."""

    def __init__(self) -> None:
        self.begun = self.finished = 0
        self._running = ExitStack()
        self._stages: dict[Speaker, Stage] = {}
        self._base = 0
        """The newest id before the history."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def fight(self, history: Sequence[Turn]) -> None:
        """Play a history on both servers; raise `Mismatch` if they differ."""
        if not self._stages:
            self._start()
        self.begun += 1
        self._started = time.monotonic()
        self._played: list[Action] = []
        self._referee = Referee(self._base)
        try:
            for turn in [*history, *LAST_LOOK]:
                self._take(turn)
        except TooSlow:
            self._stop()
        except Mismatch:
            self._stop()
            raise
        else:
            self.finished += 1
            self._clean_up()

    def _start(self) -> None:
        for speaker in SPEAKERS:
            stage = self._running.enter_context(open_stage(speaker, Conversation()))
            self._stages[speaker] = stage
        self._base = 0

    def _stop(self) -> None:
        self._running.close()
        self._stages.clear()

    def _clean_up(self) -> None:
        """Close all connections and delete all jobs; tubes go by themselves."""
        newest = {self._empty(stage) for stage in self._stages.values()}
        self._base = newest.pop()
        if newest:
            self._stop()  # They have given out different ids, which nobody noticed.

    def _empty(self, stage: Stage) -> int:
        for who in sorted(self._referee.seen):
            stage.perform(Leave(who, "closes"))
        stage.hear({})
        newest = int(stage.ask(_PROBE).removeprefix(b"INSERTED "))
        for job in range(self._base + 1, newest + 1):
            stage.ask(b"delete %d" % job)
        stage.ask(b"pause-tube default 0")
        return newest

    def _take(self, turn: Turn) -> None:
        if not self._referee.allows(turn):
            return
        self._referee.seen.add(turn.who)
        if turn.leaves:
            self._leave(turn.who, turn.leaves)
        else:
            commands = tuple(self._about_its_own(turn.who, command) for command in turn.commands)
            self._send(replace(turn, commands=commands))

    def _about_its_own(self, who: str, command: bytes) -> bytes:
        """Put a job that the connection holds in place of ``#0``; let it get one if it has none."""
        if b"#0" not in command:
            return command
        job = self._referee.job_of(who)
        return command.replace(b"#0", b"#%d" % job) if job else POLL

    def _leave(self, who: str, how: str) -> None:
        self._do(Leave(who, how))
        if how == "closes":
            self._referee.forgets(who)

    def _send(self, turn: Turn) -> None:
        """Send commands. Who leaves one unfinished is closed: see ``unfinished-put-invisible``."""
        heads = [head for piece in turn.pieces() for head in self._do(Send(turn.who, piece))]
        for command, head in zip(turn.commands, heads, strict=False):
            self._referee.notes_answer(turn.who, command, head)
        if len(heads) < len(turn.commands) and turn.who in self._referee.seen:
            if may_wait(turn.commands[-1]) and turn.commands[-1].endswith(b"\r\n"):
                self._referee.waits(turn.who)
            else:
                self._leave(turn.who, "closes")

    def _do(self, action: Send | Leave) -> list[str]:
        """Take one step on both servers and compare; return the heads of the replies to it."""
        self._played.append(action)
        for stage in self._stages.values():
            stage.perform(with_ids(action, self._base))
        original = self._stages["beanstalkd"].hear({})
        heard = self._stages["stalkd"].hear(Counter(line.who for line in original), LATE)
        if time.monotonic() - self._started > ENOUGH_TIME:
            raise TooSlow
        if align(as_expected(original), in_order(heard)) != as_expected(original):
            raise Mismatch(self._played, original, heard)
        for line in original:
            self._referee.notes_heard(line.who, line.text)
        return heads_of(line.text for line in original if line.who == action.who)


def heads_of(texts: Iterable[str]) -> list[str]:
    """The first line of each reply."""
    lines = iter(texts)
    heads: list[str] = []
    for line in lines:
        if line.startswith("<"):
            heads.append(line)
        if line.startswith(("< RESERVED", "< FOUND")):
            next(lines, None)  # the body
    return heads


def with_ids(action: Action, base: int) -> Action:
    """A step with real ids in place of those counted from the start of the history."""
    if not isinstance(action, Send):
        return action
    return Send(action.who, _ID.sub(lambda job: b"%d" % (base + int(job[1])), action.data))


def as_expected(heard: list[Heard]) -> list[Heard]:
    """What stalkd must say, when beanstalkd has said this."""
    texts = ((line.who, translated([masked(line.text)])) for line in heard)
    return in_order([Heard(who, text) for who, some in texts for text in some])


def in_order(heard: list[Heard]) -> list[Heard]:
    """The same with all lists of tubes sorted: see ``list-order``."""
    lists = groupby(heard, key=lambda line: (line.who, line.text.startswith("| - ")))
    return [
        line
        for (_, of_tubes), lines in lists
        for line in (sorted(lines, key=str) if of_tubes else lines)
    ]


def report(mismatch: Mismatch) -> str:
    """Repeat on new servers what went wrong, as a conversation to keep."""
    *before, last = mismatch.played
    actions = [action for action in before if getattr(action, "who", "") != LAST_LOOKER]
    silent = Conversation()
    silent.exchanges = [Exchange(with_ids(action, 0)) for action in [*actions, last]]
    heard: dict[Speaker, Conversation] = {}
    for speaker in SPEAKERS:
        with open_stage(speaker, silent) as stage:
            heard[speaker] = play(silent, stage)
    original, stalkd = heard["beanstalkd"], heard["stalkd"]
    expected = Conversation()
    for asked, answered in zip(original.exchanges, stalkd.exchanges, strict=True):
        expected.exchanges.append(Exchange(asked.action, as_expected(asked.heard)))
        asked.heard = [Heard(line.who, masked(line.text)) for line in asked.heard]
        answered.heard = align(expected.exchanges[-1].heard, in_order(answered.heard))
    different = difference(expected, stalkd)
    if not different:
        different = f"(but not on new servers; where it happened, {mismatch})"
    return "\n".join(["what beanstalkd says:", *original.lines(), "", different])
