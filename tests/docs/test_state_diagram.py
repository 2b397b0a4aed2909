"""The diagrams in the documentation show exactly the transitions of the code."""

import re
from pathlib import Path

from stalkd.broker.job import TRANSITIONS, State

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "man" / "stalkd-protocol.7").read_text()
ARROW = re.compile(r"^\s+(\S+) --> (\S+): (.+)$", re.MULTILINE)


def test_design_shows_every_transition() -> None:
    """docs/design.md draws the table of broker/job.py, and what makes and ends jobs around it."""
    text = (ROOT / "docs" / "design.md").read_text()
    drawn = {(before, event, after) for before, after, event in ARROW.findall(text)}
    table = {
        (before.value, event, after.value)
        for event, changes in TRANSITIONS.items()
        for before, after in changes.items()
    }
    born = {("[*]", "put", "ready"), ("[*]", "put", "delayed")}
    ended = {(state.value, event, "[*]") for state in State for event in ("delete", "expire")}
    assert drawn == table | born | ended


def test_the_manual_page_lists_every_transition() -> None:
    """The table in stalkd-protocol(7) is that of broker/job.py, too."""
    table = PAGE.split("These are all the transitions:")[1].split("\n.El\n")[0]
    rows = re.findall(r"^\.It (.+) Ta (.+) Ta (.+)$", table, re.MULTILINE)[1:]
    listed = {
        (before, event, after)
        for event, states, after in rows
        for before in states.split(", ")
        if not {before, after} & {"\\(em"}
    }
    assert listed == {
        (before.value, event, after.value)
        for event, changes in TRANSITIONS.items()
        for before, after in changes.items()
    }
