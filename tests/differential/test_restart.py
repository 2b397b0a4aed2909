"""Conversations with a server that is killed and started again go on both servers as they say."""

from __future__ import annotations

import pytest

from differential.play import difference
from differential.restart_deviations import RESTART_DEVIATIONS
from differential.restarts import FILES, load_lives, play_lives
from differential.script import SPEAKERS, Speaker


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize(
    "speaker", [pytest.param("beanstalkd", marks=pytest.mark.needs("beanstalkd")), "stalkd"]
)
def test_goes_on_after_a_restart_as_written(
    name: str, speaker: Speaker, request: pytest.FixtureRequest
) -> None:
    if speaker == "beanstalkd":
        request.getfixturevalue("beanstalkd_1_12")
    lives = load_lives(FILES[name], speaker)
    assert len(lives) > 1
    for number, (expected, heard) in enumerate(
        zip(lives, play_lives(lives, speaker), strict=True), 1
    ):
        if different := difference(expected, heard):
            pytest.fail(f"{name} with {speaker}, start {number}\n{different}", pytrace=False)


def test_every_deviation_is_shown_by_a_restart() -> None:
    lives = [life for path in FILES.values() for life in load_lives(path, SPEAKERS[0])]
    assert {name for life in lives for name in life.deviations} == set(RESTART_DEVIATIONS)
