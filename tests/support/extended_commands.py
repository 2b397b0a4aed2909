"""Any command of all, as the naive model takes it and as bytes."""

from __future__ import annotations

from hypothesis import strategies as st

from support.extended_model import IN_THOUSANDTHS, decimal
from support.model_state import Command

TUBES = st.sampled_from(["default", "a", "b", "c"])
OTHERS = st.sampled_from(["a", "b", "c"])
PRIORITIES = st.sampled_from([0, 1, 2, 1023, 1024, 2**32 - 1])
SECONDS = st.integers(0, 4)
MILLISECONDS = st.sampled_from([0, 0, 1, 250, 999, 1000, 1500, 3000])
IDS = st.integers(1, 20)
BODIES = st.binary(max_size=3)
STATES = st.sampled_from(["ready", "delayed", "buried", "reserved", "all"])
MOVABLE = st.sampled_from(["ready", "delayed", "buried"])
FEW = st.integers(0, 5)
ATTEMPTS = st.integers(0, 3)
LIFETIMES = st.sampled_from([0, 400, 1000, 2500])
PUT_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "tube": TUBES,
        "key": st.sampled_from(["one", "two"]),
        "ttl": LIFETIMES,
        "attempts": ATTEMPTS,
        "dead": OTHERS,
    },
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "attempts": ATTEMPTS,
        "dead": st.sampled_from(["", "a", "b", "c"]),
        "ttl": LIFETIMES,
        "max-jobs": st.integers(0, 6),
        "rate": st.sampled_from([0, 500, 1000, 4000, 200_000]),
        "concurrency": ATTEMPTS,
        "ageing": st.sampled_from([0, 1, 500, 1_000, 2_000_000]),
    },
)
"""Rates whose spacing is a whole number of milliseconds."""

Strategies = tuple[st.SearchStrategy[object], ...]
EXTENDED: dict[str, Strategies] = {
    "put-with": (PRIORITIES, MILLISECONDS, MILLISECONDS, PUT_OPTIONS, BODIES),
    "reserve-batch": (st.integers(1, 4), MILLISECONDS),
    "touch-for": (IDS, MILLISECONDS),
    "wait-job": (IDS, MILLISECONDS),
    "purge-tube": (TUBES, STATES),
    "release-tube": (TUBES,),
    "move-jobs": (TUBES, MOVABLE, TUBES, FEW),
    "set-policy": (TUBES, RULES.filter(bool)),
    "get-policy": (TUBES,),
    "list-jobs": (TUBES, STATES, st.integers(0, 9), st.integers(1, 3)),
}
STANDARD: dict[str, Strategies] = {
    "put": (PRIORITIES, SECONDS, SECONDS, BODIES),
    "reserve": (),
    "reserve-with-timeout": (SECONDS,),
    "reserve-job": (IDS,),
    "delete": (IDS,),
    "release": (IDS, PRIORITIES, SECONDS),
    "bury": (IDS, PRIORITIES),
    "touch": (IDS,),
    "kick": (FEW,),
    "kick-job": (IDS,),
    "use": (TUBES,),
    "watch": (TUBES,),
    "ignore": (TUBES,),
    "pause-tube": (TUBES, SECONDS),
    "peek-ready": (),
}
COMMANDS = EXTENDED | STANDARD

ABOUT_A_JOB = {name for name, arguments in COMMANDS.items() if arguments[:1] == (IDS,)}
IN_MILLISECONDS = {"reserve-batch": {1}, "touch-for": {1}, "wait-job": {1}, "put-with": {1, 2}}
"""Which arguments are."""

# What moves jobs about is wanted more often than what only looks at them.
WEIGHTED = [
    *(["put-with"] * 10 + ["put"] * 3 + ["reserve", "reserve-with-timeout", "reserve-batch"] * 3),
    *(["reserve-job", "release", "set-policy", "move-jobs", "wait-job"] * 3),
    *COMMANDS,
]


@st.composite
def commands(draw: st.DrawFn) -> Command:
    name = draw(st.sampled_from(WEIGHTED))
    return (name, *(draw(strategy) for strategy in COMMANDS[name]))


def on_the_wire(command: Command) -> bytes:
    name, *args = command
    body = args.pop() if name in {"put", "put-with"} else None
    assert body is None or isinstance(body, bytes)
    times = IN_MILLISECONDS.get(str(name), set())
    words = [word(arg, in_ms=place in times) for place, arg in enumerate(args)]
    if body is not None:
        words.insert(3, str(len(body)))
    line = " ".join(filter(None, [str(name), *words])).encode() + b"\r\n"
    return line if body is None else line + body + b"\r\n"


def word(arg: object, *, in_ms: bool) -> str:
    """What an argument is as text; options may be several words."""
    if isinstance(arg, dict):
        return " ".join(f"{key}={option(key, value)}" for key, value in arg.items())
    return decimal(arg) if in_ms and isinstance(arg, int) else str(arg)


def option(key: str, value: object) -> str:
    return decimal(value) if key in IN_THOUSANDTHS and isinstance(value, int) else str(value)
