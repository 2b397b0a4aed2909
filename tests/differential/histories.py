r"""Random commands for several connections, as `hypothesis` strategies.

A history is a list of turns. In the data of a turn ``#3`` stands for the third id that is given out
in it, because the servers have given out many before, and ``#0`` for a job that the connection has
reserved (if it has none, it tries to get one instead). Nothing here waits for time to pass: times
to run, delays and pauses are long, or 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from differential.deviations import deviates

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

CONNECTIONS = "ABC"
TUBES = ("default", "t", "u")
IDS = 8
POLL = b"reserve-with-timeout 0\r\n"
TURNS = (20, 60)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one connection does: ``leaves`` in some way, or sends commands.

    The commands go out in one piece, or in two if ``cut`` says where. A ``wild`` command may be
    anything; the others are known to get one reply each.
    """

    who: str
    commands: tuple[bytes, ...] = ()
    cut: int = 0
    wild: bool = False
    leaves: str = ""

    def pieces(self) -> list[bytes]:
        """What is sent, piece by piece."""
        data = b"".join(self.commands)
        return [piece for piece in (data[: self.cut], data[self.cut :]) if piece]


def _words(*columns: SearchStrategy[str] | str) -> SearchStrategy[bytes]:
    """A line with one word from each column."""
    drawn = (st.just(column) if isinstance(column, str) else column for column in columns)
    return st.tuples(*drawn).map(lambda words: " ".join(words).encode() + b"\r\n")


_tubes = st.sampled_from(TUBES)
_ids = st.integers(1, IDS).map("#{}".format)
_mine = st.one_of(st.just("#0"), st.just("#0"), st.just("#0"), _ids)
_priorities = st.sampled_from(["0", "1", "7", "1023", "1024", "4294967295"])
_delays = st.sampled_from(["0", "0", "0", "0", "1000", "2000"])
_ttrs = st.sampled_from(["0", "1", "100", "1000", "4294967295"])
_pauses = st.sampled_from(["0", "0", "1000"])
_bounds = st.sampled_from(["0", "1", "2", "100"])
_bodies = st.sampled_from([b"", b"a", b"\r\n", b"kick 1\r\n", b"x" * 300])


def _put(numbers: tuple[str, str, str], body: bytes) -> bytes:
    return f"put {' '.join(numbers)} {len(body)}\r\n".encode() + body + b"\r\n"


_puts = st.builds(_put, st.tuples(_priorities, _delays, _ttrs), _bodies)
_reserves = st.sampled_from([b"reserve\r\n", b"reserve-with-timeout 1000\r\n"])
_moves = st.one_of(
    _words("release", _mine, _priorities, _delays),
    _words("bury", _mine, _priorities),
    _words("kick", _bounds),
    _words("kick-job", _ids),
    _words("reserve-job", _ids),
    _words("delete", _mine),
    _words("touch", _mine),
    _words("pause-tube", _tubes, _pauses),
)
_tube_changes = _words(st.sampled_from(["use", "watch", "watch", "ignore"]), _tubes)
_looks = st.one_of(
    _words("peek", _ids),
    _words(st.sampled_from(["peek-ready", "peek-delayed", "peek-buried"])),
    _words("stats-job", _ids),
    _words("stats-tube", _tubes),
    _words(st.sampled_from(["stats", "list-tubes", "list-tubes-watched", "list-tube-used"])),
)
_polls = st.just(POLL)
_plain = st.sampled_from([*[_puts] * 3, *[_polls] * 2, *[_moves] * 7, _tube_changes, _looks])
_plain = _plain.flatmap(lambda kind: kind)

_odd_bytes = st.sampled_from([*b" \t\x00\n-+.x01234567899:/*\xff", *b"aAsS"])


def _damage(line: bytes, place: int, byte: int, how: str) -> bytes:
    """Change one byte of a line."""
    at = place % len(line)
    odd = b"" if how == "omit" else bytes([byte])
    return line[:at] + odd + line[at + (how != "insert") :]


_damaged = st.builds(
    _damage,
    st.one_of(_plain, _plain, _reserves, st.just(b"quit\r\n")),
    st.integers(0, 40),
    _odd_bytes,
    st.sampled_from(["omit", "insert", "replace"]),
)
_junk = st.binary(max_size=12).map(lambda data: data + b"\r\n")
_long = st.integers(215, 700).map(lambda length: b"peek " + b" " * length + b"1\r\n")
_wild = st.one_of(_damaged, _damaged, _damaged, _junk, _long, st.just(b"quit\r\n"))

_who = st.sampled_from(CONNECTIONS)
_one = st.builds(Turn, _who, st.tuples(_plain))
_wait = st.builds(Turn, _who, st.tuples(_reserves))
_several = st.builds(Turn, _who, st.tuples(_plain, _plain, st.one_of(_plain, _reserves)))
_in_two = st.builds(Turn, _who, st.tuples(_plain), cut=st.integers(1, 30))
_tame = _wild.filter(lambda data: not deviates(data))
_any = st.builds(Turn, _who, st.tuples(_tame), wild=st.just(value=True))
_leave = st.builds(Turn, _who, leaves=st.sampled_from(["closes", "half-closes"]))
_nothing = st.just(Turn("A"))
_kinds = [_nothing, *[_one] * 12, _wait, _several, _in_two, *[_any] * 2, _leave]

histories = st.lists(
    st.sampled_from(_kinds).flatmap(lambda kind: kind), min_size=TURNS[0], max_size=TURNS[1]
)
