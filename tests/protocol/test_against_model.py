"""Any history of commands and time: the daemon's core and the naive model say the same."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stalkd.broker.check import check
from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.session import Session
from support.core import Core
from support.model import Model
from support.model_state import Command, ModelClient

NS_PER_MS = NS_PER_S // 1000
TUBES = st.sampled_from(["default", "a", "b", "c"])
PRIORITIES = st.sampled_from([0, 1, 1023, 1024, 2**32 - 1])
SECONDS = st.integers(0, 4)
IDS = st.integers(1, 20)
CLIENTS = st.integers(0, 2)
BODIES = st.binary(max_size=3)

COMMANDS: dict[str, tuple[st.SearchStrategy[object], ...]] = {
    "put": (PRIORITIES, SECONDS, SECONDS, BODIES),
    "reserve": (),
    "reserve-with-timeout": (SECONDS,),
    "reserve-job": (IDS,),
    "delete": (IDS,),
    "release": (IDS, PRIORITIES, SECONDS),
    "bury": (IDS, PRIORITIES),
    "touch": (IDS,),
    "kick": (st.integers(0, 5),),
    "kick-job": (IDS,),
    "use": (TUBES,),
    "watch": (TUBES,),
    "ignore": (TUBES,),
    "pause-tube": (TUBES, SECONDS),
    "peek": (IDS,),
    "peek-ready": (),
    "peek-delayed": (),
    "peek-buried": (),
    "list-tubes": (),
    "list-tubes-watched": (),
    "list-tube-used": (),
    "stats-job": (IDS,),
    "stats-tube": (TUBES,),
}

ABOUT_A_JOB = {name for name, arguments in COMMANDS.items() if arguments[:1] == (IDS,)}
Pair = tuple[Session, ModelClient]

# What moves jobs about is wanted more often than what only looks at them.
WEIGHTED = [
    *(["put"] * 8 + ["reserve", "reserve-with-timeout"] * 4),
    *(["reserve-job", "release", "bury", "kick", "watch", "use"] * 2),
    *COMMANDS,
]


@st.composite
def commands(draw: st.DrawFn) -> Command:
    name = draw(st.sampled_from(WEIGHTED))
    return (name, *(draw(strategy) for strategy in COMMANDS[name]))


def on_the_wire(command: Command) -> bytes:
    name, *args = command
    if name == "put":
        *numbers, body = args
        assert isinstance(body, bytes)
        line = " ".join(map(str, ["put", *numbers, len(body)]))
        return line.encode() + b"\r\n" + body + b"\r\n"
    return " ".join(map(str, [name, *args])).encode() + b"\r\n"


class AgainstModel(RuleBasedStateMachine):
    """Three clients and one that only looks, after each step, at every job and tube.

    Each step takes a millisecond, so that deadlines of different steps differ.
    """

    def __init__(self) -> None:
        super().__init__()
        self.core = Core()
        self.model = Model()
        self.observer = self.connect()
        self.pairs = [self.connect() for _ in range(3)]

    def connect(self) -> Pair:
        """Connect, and watch more than one tube, without which little of interest happens."""
        pair = self.core.connect(), self.model.connect()
        self.ask(pair, ("watch", "a"))
        return pair

    def ask(self, pair: Pair, *batch: Command) -> None:
        self.model.run(pair[1], *batch)
        self.core.send(pair[0], b"".join(map(on_the_wire, batch)))

    def pass_time(self, milliseconds: int) -> None:
        now = self.model.now + milliseconds
        self.model.advance(now)
        self.core.advance(now * NS_PER_MS)

    @rule(number=CLIENTS, batch=st.lists(commands(), min_size=1, max_size=5))
    def send(self, number: int, batch: list[Command]) -> None:
        self.pass_time(1)
        self.ask(self.pairs[number], *map(self.with_real_id, batch))

    def with_real_id(self, command: Command) -> Command:
        """Let a command about a job mostly be about one that exists."""
        name, *args = command
        if name not in ABOUT_A_JOB or not self.model.jobs:
            return command
        number, *others = args
        assert isinstance(number, int)
        return name, self.model.jobs[number % len(self.model.jobs)].id, *others

    @rule(milliseconds=st.one_of(st.integers(1, 300), st.integers(1, 6).map(lambda s: 500 * s)))
    def wait(self, milliseconds: int) -> None:
        self.pass_time(milliseconds)

    @rule(number=CLIENTS)
    def reconnect(self, number: int) -> None:
        self.pass_time(1)
        session, client = self.pairs[number]
        self.core.disconnect(session)
        self.model.disconnect(client)
        self.pairs[number] = self.connect()

    @invariant()
    def replies_are_the_same(self) -> None:
        for session, client in (self.observer, *self.pairs):
            assert self.core.received(session) == b"".join(client.out)
            client.out.clear()

    @invariant()
    def everything_looks_the_same(self) -> None:
        looks: list[Command] = [("list-tubes",)]
        looks += [("stats-job", job.id) for job in self.model.jobs]
        looks += [("stats-tube", tube.name) for tube in self.model.tubes]
        self.ask(self.observer, *looks)
        self.replies_are_the_same()

    @invariant()
    def broker_is_sound(self) -> None:
        check(self.core.broker)


AgainstModel.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAgainstModel = AgainstModel.TestCase
