"""stalkd-protocol(7) and the code name the same commands, replies, options and keys."""

import re
from pathlib import Path

import pytest

from stalkd.protocol import commands, extended, putwith, replies
from support.core import Core
from support.pages import check_conversation

PAGE = (Path(__file__).resolve().parents[2] / "man" / "stalkd-protocol.7").read_text()


def section(title: str) -> str:
    """Return what stands under a heading."""
    (kind,) = re.findall(rf"^\.(S[hs]) {re.escape(title)}$", PAGE, re.MULTILINE)
    ends = r"\n\.Sh " if kind == "Sh" else r"\n\.S[hs] "
    return re.split(ends, PAGE.split(f"\n.{kind} {title}\n")[1])[0]


def keys(title: str) -> list[str]:
    """Return the keys in the tables under a heading, in their order."""
    return re.findall(r"^\.It Li (\S+) Ta (?:count|total|sec|ms|number|string|word|list) Ta",
                      section(title), re.MULTILINE)  # fmt: skip


def shown(core: Core, *lines: bytes) -> list[list[str]]:
    """Return the keys of the mappings in what the last of some commands answers."""
    session = core.connect()
    answer = [core.ask(session, line + b"\r\n") for line in lines][-1].decode()
    first, *rest = re.split(r"^- ", answer, flags=re.MULTILINE)
    found = [re.findall(r"^ *([a-z-]+):", part, re.MULTILINE) for part in (first, *rest)]
    return [each for each in found if each]


def test_every_command_is_in_a_table_and_described() -> None:
    """Plain ones under COMMANDS, the others under EXTENDED COMMANDS."""
    plain = {b"put", b"quit", *commands.BARE, *commands.WITH_ARGUMENTS}
    for title, names in (("COMMANDS", plain), ("EXTENDED COMMANDS", set(extended.NAMES))):
        table = section(title).split("\n.El\n")[0]
        assert set(re.findall(r"^\.It Ic (\S+) Ta", table, re.MULTILINE)) == {
            name.decode() for name in names
        }
        for name in names:
            assert re.search(rf"^\.D1 Ic {name.decode()}(?: |$)", PAGE, re.MULTILINE), name


def test_every_reply_is_in_the_page() -> None:
    """Also those of several words; the page has them in literal font."""
    words = {
        value.split()[0].decode()
        for value in vars(replies).values()
        if isinstance(value, bytes) and value.endswith(b"\r\n")
    }
    words |= {"EXISTS", "RESERVED_BATCH", "JOB", "PURGED", "MOVED"}
    for word in words:
        assert re.search(rf"\bLi (?:\S+ , )?{word}\b", PAGE), word


def test_every_option_has_an_entry() -> None:
    """Those of put-with and those of policies, and no others."""
    for title, known in (("put-with", putwith.OPTIONS), ("Policies", extended.POLICY_OPTIONS)):
        names = re.findall(r"^\.It Cm (\S+) Ns Li = Ns Ar", section(title), re.MULTILINE)
        assert [name.encode() for name in names] == list(known), title


def test_the_keys_of_stats() -> None:
    """Without a log some are missing."""
    core = Core()
    told = shown(core, b"stats")[0]
    of_the_process = {"pid", "version", "rusage-utime", "rusage-stime", "id", "hostname", "os",
                      "platform", "server"}  # fmt: skip
    of_the_log = {name for name in keys("stats") if name.startswith("binlog-")}
    listed = [name for name in keys("stats") if name not in of_the_process | of_the_log]
    assert listed == [name for name in told if name not in of_the_process | of_the_log]


def test_the_keys_of_the_extended_commands() -> None:
    """The tables are complete, and in the order of the replies."""
    core = Core()
    (tube,) = shown(core, b"stats-tubes")[1:]
    assert tube == keys("stats-tube") + keys("Keys of stats-tubes")
    assert shown(core, b"set-policy t rate=1", b"get-policy t")[0] == keys("Keys of get-policy")
    client = [*shown(core, b"list-clients")[-1]]
    assert client == [key for key in keys("Keys of list-clients") if key != "waits-until-in"]


def test_the_keys_of_a_job_in_every_state() -> None:
    """What list-jobs and explain-job show is in the table, whatever the job has been through."""
    core = Core()
    put = b"put-with 0 %b 60 1 tube=t key=k ttl=90 attempts=1 dead=u\r\nx"
    listed: set[str] = set()
    explained: set[str] = set()
    stories = (
        (b"set-policy t concurrency=1 rate=0.001", put % b"0"),
        (b"reserve-job 1",),
        (b"release 1 0 0",),
        (b"reserve-job 1", b"bury 1 0"),
        (b"pause-tube t 9", b"put-with 0 9 60 1 tube=t\r\nx", b"reserve-job 2", b"release 2 0 9"),
        (b"put-with 0 0 60 1 tube=t\r\nx", b"reserve-job 3"),
    )
    session = core.connect()
    for story in stories:
        for line in story:
            core.ask(session, line + b"\r\n")
        for tube in (b"t", b"u"):
            answer = core.ask(session, b"list-jobs %b all 0 9\r\n" % tube).decode()
            listed |= {*re.findall(r"^[ -] ([a-z-]+):", answer, re.MULTILINE)}
        for number in (1, 2):
            answer = core.ask(session, b"explain-job %d\r\n" % number).decode()
            explained |= {*re.findall(r"^([a-z-]+):", answer, re.MULTILINE)}
    known = keys("Keys of list-jobs and explain-job")
    assert listed == set(known[: known.index("died-because") + 1])
    assert explained == set(known)


@pytest.mark.parametrize("number", [0, 1], ids=["plain", "extended"])
def test_the_examples_are_true(number: int) -> None:
    """A server that has just started says what is shown; clients hang up after their last line."""
    text = section("EXAMPLES").split("The same with extended commands")[number]
    check_conversation(text)
