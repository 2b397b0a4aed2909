"""A log that is not as it was written: the start is refused, or goes on from what was true once.

Refused whenever something is missing that was certainly on the disk. Otherwise the log ends before
the first place that is not intact, as after a power cut, and this is reported. What exactly must
come of a damage is worked out by ``support.stories.Judge``.
"""

from __future__ import annotations

from random import Random

import pytest

from stalkd.journal.segment import segment_name
from support.directories import Image
from support.stories import Judge, Story, Verdict, goes_on, parse, places, start, stories


class Trial:
    """Damages one log again and again, and holds what comes of it against what must."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.judge = Judge(story.image)
        self.refused = self.torn = 0

    def test(self, damaged: Image) -> None:
        verdict, outcome = self.judge.verdict(damaged), start(damaged)
        assert (outcome.refused is not None) == verdict.refused, (verdict, outcome.refused)
        if verdict.refused:
            self.refused += 1
            self._must_be_helpful(outcome.refused or "", damaged, verdict)
        elif verdict.place is None:
            assert outcome.state == self.story.end
            assert outcome.recovered.notes == []
        else:
            self.torn += 1
            assert outcome.state == self.story.at(verdict.place)
            notes = outcome.recovered.notes
            assert verdict.noted <= len(notes) <= 1  # More may be told than had to be.
            place = f"{segment_name(verdict.place[0])} offset {verdict.place[1]}:"
            assert all(place in note for note in notes)
            if self.torn % 40 == 1:
                goes_on(damaged)

    def _must_be_helpful(self, message: str, damaged: Image, verdict: Verdict) -> None:
        """A file is named, and what to do about it."""
        sound = self.story.image.files
        wrong = [name for name in sound if damaged.files[name] != sound[name]]
        wrong += [segment_name(verdict.place[0])] if verdict.place else []
        assert any(name in message for name in wrong), (message, verdict)
        assert "--salvage" in message or "restore" in message


# -- every place ----------------------------------------------------------------------------------


def test_nothing_is_wrong_with_what_is_not_damaged(story: Story) -> None:
    """The judge and the replay agree on it."""
    assert Judge(story.image).verdict(story.image) == (False, None, False)
    outcome = start(story.image)
    assert outcome.state == story.end
    assert outcome.recovered.notes == []
    goes_on(story.image)


@pytest.mark.parametrize("flip", [0x10, 0xFF], ids=hex)
def test_any_byte_is_flipped(story: Story, flip: int) -> None:
    """In any file, any place."""
    trial = Trial(story)
    for name, offset in places(story):
        damaged = story.image.copy()
        damaged.files[name][offset] ^= flip
        trial.test(damaged)
    assert trial.refused or story is not stories()["closed"]
    assert trial.torn


def test_cut_anywhere(story: Story) -> None:
    """Any file, at any length."""
    trial = Trial(story)
    for name, offset in places(story):
        damaged = story.image.copy()
        del damaged.files[name][offset:]
        trial.test(damaged)
    assert trial.refused
    assert trial.torn


def test_zeros_from_anywhere(story: Story) -> None:
    """To the end of the file, as some file systems leave it after a power cut."""
    trial = Trial(story)
    for name, offset in places(story):
        damaged = story.image.copy()
        size = len(damaged.files[name]) - offset
        damaged.files[name][offset:] = bytes(size)
        trial.test(damaged)
    assert trial.refused
    assert trial.torn


def test_a_block_turns_up_at_a_wrong_place(story: Story) -> None:
    """Once more in its file, or in another; frames that are whole do not count there."""
    trial, random = Trial(story), Random(5)
    names = list(story.image.files)
    ends = {segment_name(n): each.frames[-1].end for n, each in parse(story.image).items()}
    for _ in range(400):
        damaged = story.image.copy()
        source, target = random.choice(list(ends)), random.choice(list(ends))
        begin, size = random.randrange(ends[source]), random.choice([1, 12, 64, 512])
        place = random.randrange(ends[target] + 40)
        block = story.image.files[source][begin : begin + size]
        damaged.files[target][place : place + len(block)] = block
        assert list(damaged.files) == names
        trial.test(damaged)
    assert trial.torn
    assert trial.refused


def test_frames_turn_up_at_a_wrong_place(story: Story) -> None:
    """Each frame, behind the last one, or over any other of its segment."""
    trial = Trial(story)
    for number, original in parse(story.image).items():
        name = segment_name(number)
        content = story.image.files[name]
        for each in original.frames:
            block = content[each.start : each.end]
            for place in (other.end for other in original.frames):
                damaged = story.image.copy()
                damaged.files[name][place : place + len(block)] = block
                trial.test(damaged)
    assert trial.torn


def test_several_damages(story: Story) -> None:
    """Of all kinds, at once."""
    trial, random = Trial(story), Random(9)
    everywhere = list(places(story))
    for _ in range(600):
        damaged = story.image.copy()
        for name, offset in random.sample(everywhere, random.randint(2, 4)):
            content = damaged.files[name]
            size = random.choice([1, 4, 100])
            if offset < len(content):
                content[offset : offset + size] = random.randbytes(len(content[offset:][:size]))
            if random.random() < 0.1:
                del content[random.randrange(len(content) + 1) :]
        trial.test(damaged)
    assert trial.refused
