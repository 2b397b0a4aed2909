"""The diagrams in the documentation show exactly the transitions of the code."""

import re
from pathlib import Path

from stalkd.broker.job import TRANSITIONS, State

ROOT = Path(__file__).resolve().parents[2]
ARROW = re.compile(r"^\s+(\S+) --> (\S+): (.+)$", re.MULTILINE)


def test_design_shows_every_transition() -> None:
    """docs/design.md draws the table of broker/job.py, and put and delete around it."""
    text = (ROOT / "docs" / "design.md").read_text()
    drawn = {(before, event, after) for before, after, event in ARROW.findall(text)}
    table = {
        (before.value, event, after.value)
        for event, changes in TRANSITIONS.items()
        for before, after in changes.items()
    }
    born = {("[*]", "put", "ready"), ("[*]", "put", "delayed")}
    ended = {(state.value, "delete", "[*]") for state in State}
    assert drawn == table | born | ended
