"""Every recorded conversation goes on both servers as its file says."""

from __future__ import annotations

import re
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from differential.deviations import DEVIATIONS
from differential.play import difference, play
from differential.script import SPEAKERS, Conversation, Heard, Speaker, Wait, load
from differential.stage import open_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = {path.stem: path for path in Path(__file__).with_name("conversations").glob("*.txt")}

TOGETHER = 8
"""Conversations that go on at the same time: most of the slow ones do nothing but wait."""

# The scenarios of beanstalkd's own testserv.c, but those of its log.
UPSTREAM = """
    unknown_command too_long_commandline put_in_drain peek_ok peek_not_found peek_ok_unix
    unix_auto_removal peek_bad_format peek_delayed peek_buried_kick touch_bad_format
    touch_not_found bury_bad_format kickjob_bad_format kickjob_buried kickjob_delayed pause
    underscore 2cmdpacket too_big job_size_invalid job_size_max_plus_1 delete_ready
    delete_reserved_by_other delete_bad_format multi_tube negative_delay garbage_priority
    negative_priority max_priority too_big_priority omit_time_left small_delay delayed_to_ready
    statsjob_ck_format stats_tube ttrlarge ttr_small zero_delay reserve_with_timeout_2conns
    reserve_ttr_deadline_soon reserve_job_ttr_deadline_soon reserve_job_already_reserved
    reserve_job_ready reserve_job_delayed reserve_job_buried release_bad_format release_not_found
    close_releases_job quit_releases_job unpause_tube list_tube use_tube_long longest_command
"""

Part = tuple[str, Speaker]
Outcome = tuple[Conversation, Conversation]


def perform(part: Part) -> Outcome:
    """Play one conversation on one server; return what was expected and what was heard."""
    name, speaker = part
    expected = load(FILES[name], speaker)
    with open_stage(speaker, expected) as stage:
        return expected, play(expected, stage)


def seconds(part: Part) -> float:
    """How long a conversation waits."""
    steps = load(FILES[part[0]], part[1]).exchanges
    return sum(step.action.seconds for step in steps if isinstance(step.action, Wait))


def parts_asked_for(session: pytest.Session) -> list[Part]:
    """The conversations of this test run, those that wait longest first."""
    names = {item.name for item in session.items}
    every = ((name, speaker) for name in FILES for speaker in SPEAKERS)
    asked = [part for part in every if f"test_goes_as_recorded[{part[1]}-{part[0]}]" in names]
    return sorted(asked, key=seconds, reverse=True)


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[Part, Future[Outcome]]]:
    """All conversations, several at a time."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        yield {part: pool.submit(perform, part) for part in parts_asked_for(request.session)}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize(
    "speaker", [pytest.param("beanstalkd", marks=pytest.mark.needs("beanstalkd")), "stalkd"]
)
def test_goes_as_recorded(
    name: str,
    speaker: Speaker,
    outcomes: dict[Part, Future[Outcome]],
    request: pytest.FixtureRequest,
) -> None:
    if speaker == "beanstalkd":
        request.getfixturevalue("beanstalkd_1_12")
    expected, heard = outcomes[name, speaker].result()
    if different := difference(expected, heard):
        pytest.fail(f"{name} with {speaker}\n{different}", pytrace=False)


def test_every_scenario_of_the_original_is_ported() -> None:
    files = (path.read_text(encoding="ascii") for path in FILES.values())
    ported = [
        name for text in files for name in re.findall(r"^# upstream: (\w+)$", text, re.MULTILINE)
    ]
    assert sorted(ported) == sorted(UPSTREAM.split())


def test_every_deviation_is_shown_by_a_conversation() -> None:
    shown = {name for path in FILES.values() for name in load(path, "stalkd").deviations}
    lines = {line.text for path in FILES.values() for line in heard_in(path)}
    shown |= {
        name
        for name, deviation in DEVIATIONS.items()
        if deviation.translate and any(deviation.translate(line) != [line] for line in lines)
    }
    assert shown == {name for name, deviation in DEVIATIONS.items() if not deviation.unseen}


def heard_in(path: Path) -> Iterator[Heard]:
    for exchange in load(path, "beanstalkd").exchanges:
        yield from exchange.heard
