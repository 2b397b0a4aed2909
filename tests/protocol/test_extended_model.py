"""Any history of all commands and time: the daemon's core and the naive model say the same."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stalkd.broker.check import check
from stalkd.broker.limits import NS_PER_S
from stalkd.protocol.session import Session
from support.core import Core
from support.extended_commands import ABOUT_A_JOB, commands, on_the_wire
from support.extended_model import ExtendedModel
from support.model_state import Command, ModelClient

NS_PER_MS = NS_PER_S // 1000
CLIENTS = st.integers(0, 2)
Pair = tuple[Session, ModelClient]


class AgainstModel(RuleBasedStateMachine):
    """Three clients and one that only looks, after each step, at every job and tube.

    Each step takes a millisecond, so that deadlines of different steps differ.
    """

    def __init__(self) -> None:
        super().__init__()
        self.core = Core()
        self.model = ExtendedModel()
        self.observer = self.connect()
        self.pairs = [self.connect() for _ in range(3)]

    def connect(self) -> Pair:
        """Connect, and watch more than one tube, without which little of interest happens."""
        pair = self.core.connect(), self.model.connect()
        self.ask(pair, ("watch", "a"), ("watch", "b"))
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
        looks: list[Command] = [("list-tubes",), ("stats-tubes",)]
        looks += [("stats-job", job.id) for job in self.model.jobs]
        for tube in self.model.tubes:
            looks += [("list-jobs", tube.name, "all", 0, 99), ("get-policy", tube.name)]
        self.ask(self.observer, *looks)
        self.replies_are_the_same()

    @invariant()
    def everything_can_be_explained(self) -> None:
        """The words are not the model's business."""
        self.replies_are_the_same()
        looks = [("explain-job", job.id) for job in self.model.jobs]
        lines = b"".join(map(on_the_wire, [*looks, ("list-clients",)]))
        replies = self.core.ask(self.observer[0], lines)
        assert replies.count(b"OK ") == len(looks) + 1

    @invariant()
    def broker_is_sound(self) -> None:
        check(self.core.broker)


AgainstModel.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestAgainstModel = AgainstModel.TestCase
