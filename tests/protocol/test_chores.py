"""Commands about many jobs leave room for others between any two of them."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from stalkd.broker import chores
from stalkd.broker.check import check
from stalkd.broker.limits import NS_PER_S
from support.core import Core
from support.extended_commands import OTHERS, STATES, commands, on_the_wire
from support.model_state import Command

MS = NS_PER_S // 1000
CHORES = st.one_of(
    st.tuples(st.just("purge-tube"), OTHERS, STATES),
    st.tuples(st.just("release-tube"), OTHERS),
    st.tuples(st.just("move-jobs"), OTHERS, st.just("ready"), OTHERS, st.integers(2, 9)),
)
ACTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.lists(st.one_of(commands(), commands(), CHORES), max_size=5),
        st.sampled_from([1, 1, 1, 100, 1000]),
        st.booleans(),
    ),
    min_size=5,
    max_size=30,
)


@settings(max_examples=200)
@given(ACTS)
def test_anything_may_happen_in_the_midst_of_a_chore(
    acts: list[tuple[int, list[Command], int, bool]],
) -> None:
    """Also that who asked for it hangs up."""
    core = Core()
    sessions = [core.connect() for _ in range(3)]
    puts = b"".join(b"put-with 0 0 9 0 tube=%b\r\n\r\n" % tube for tube in (b"a", b"b", b"c") * 3)
    core.send(sessions[0], puts + b"watch a\r\nwatch b\r\n")
    with patch.object(chores, "STEP", 1):
        for number, batch, pause, leaves in acts:
            core.advance(core.now + pause * MS)
            core.send(sessions[number], b"".join(map(on_the_wire, batch)))
            check(core.broker)
            if leaves and pause > 1:
                core.disconnect(sessions[number])
                sessions[number] = core.connect()
                check(core.broker)
        for _ in range(100):
            core.advance(core.now + MS)
    check(core.broker)
