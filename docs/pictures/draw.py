"""Write the pictures of the documentation: ``python docs/pictures/draw.py [DIRECTORY]``.

Each is made from what stands elsewhere: the states of a job from the table in
``stalkd/broker/job.py``, the pipeline from the file on ``docs/worker.md``, the layers of the
daemon from the rules for imports in ``pyproject.toml``. A test compares the files beside this one
with what is drawn now.
"""

from __future__ import annotations

import re
import sys
import tomllib
from math import hypot
from pathlib import Path
from typing import Any, Final

from canvas import Box, Picture, Point

from stalkd.broker.job import TRANSITIONS, State

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]

STATE_SIZE: Final = (116, 44)
STATE_PLACES: Final = {
    State.READY: Point(215, 320),
    State.RESERVED: Point(785, 320),
    State.DELAYED: Point(500, 90),
    State.BURIED: Point(500, 560),
}
CENTRE: Final = Point(500, 320)
BEND: Final = 0.15
"""How far an arrow swerves to its right, as a share of its length, so that two do not meet."""

ENDS: Final = ("delete", "expire")
"""What ends a job in any state; it is in no table."""


# -- the states of a job --------------------------------------------------------------------------


def job_states() -> Picture:
    """Draw all transitions of the table, those between the same two states as one arrow."""
    picture = Picture(
        950,
        640,
        "The states of a job",
        "A job is ready, reserved, delayed or buried; arrows are named by what happens.",
    )
    boxes = {state: Box(STATE_PLACES[state], *STATE_SIZE) for state in State}
    for (before, after), events in arrows().items():
        if before is after:
            _loop(picture, boxes[before], events)
        else:
            _change(picture, boxes[before], boxes[after], events)
    for state, box in boxes.items():
        picture.box(box, state.value)
    _births_and_ends(picture, boxes)
    return picture


def arrows() -> dict[tuple[State, State], list[str]]:
    """Return the events that lead from one state to another."""
    found: dict[tuple[State, State], list[str]] = {}
    for event, changes in TRANSITIONS.items():
        for before, after in changes.items():
            found.setdefault((before, after), []).append(event)
    return found


def _change(picture: Picture, start: Box, end: Box, events: list[str]) -> None:
    (x1, y1), (x2, y2) = start.middle, end.middle
    length = hypot(x2 - x1, y2 - y1)
    side = Point((y1 - y2) / length, (x2 - x1) / length)  # to the right of somebody who goes there
    middle = start.middle.towards(end.middle, 0.5)
    bend = Point(middle.x + side.x * BEND * length, middle.y + side.y * BEND * length)
    place = picture.join(start, end, bend)
    anchor = "start" if side.x > 0.3 else "end" if side.x < -0.3 else "middle"
    away = 14 if anchor != "middle" else 7 + 8.5 * len(events)
    picture.lines(
        Point(place.x + side.x * away, place.y + side.y * away), events, look="small", anchor=anchor
    )


def _loop(picture: Picture, box: Box, events: list[str]) -> None:
    """Draw an arrow that comes back, on the side that is away from the other states."""
    x, y = box.middle
    if y == CENTRE.y:
        left = x - box.width / 2
        start, end, bend = Point(left - 3, y + 12), Point(left - 3, y - 12), Point(left - 64, y)
        place, anchor = Point(left - 40, y), "end"
    else:
        top = y - box.height / 2
        start, end, bend = Point(x + 14, top - 3), Point(x - 14, top - 3), Point(x, top - 56)
        place, anchor = Point(x, top - 40), "middle"
    picture.arrow(start, bend, end)
    picture.lines(place, events, look="small", anchor=anchor)


def _births_and_ends(picture: Picture, boxes: dict[State, Box]) -> None:
    ready, delayed = boxes[State.READY].middle, boxes[State.DELAYED].middle
    born = Point(ready.x, delayed.y)
    picture.dot(born)
    picture.straight(Point(born.x, born.y + 10), Point(ready.x, ready.y - 27))
    picture.text(Point(born.x - 10, born.y + 50), "put", look="small", anchor="end")
    picture.straight(Point(born.x + 10, born.y), Point(delayed.x - 63, born.y))
    picture.text(Point(born.x + 16, born.y - 12), "put with delay", look="small", anchor="start")
    picture.frame(Box(Point(447, 320), 846, 616))
    end = Point(918, 320)
    picture.straight(Point(873, end.y), Point(end.x - 10, end.y))
    picture.dot(end)
    picture.lines(Point(912, end.y - 34), list(ENDS), look="small")


# -- a pipeline -----------------------------------------------------------------------------------


def pipeline() -> Picture:
    """Draw the pipeline on the page of the worker: queues, the stages between them, failures."""
    stages = pipeline_stages()
    picture = Picture(
        210 + 330 * len(stages),
        300,
        "A pipeline of queues and workers",
        "Each stage takes jobs from a queue and puts what it returns into the next one.",
    )
    queue = Box(Point(110, 90), 110, 48)
    picture.text(Point(110, 40), "queue", look="small")
    picture.box(queue, stages[0]["queue"], look="store")
    for stage in stages:
        queue = _stage(picture, queue, stage)
    return picture


def pipeline_stages() -> list[dict[str, Any]]:
    """Return the stages of the file on the page."""
    page = (ROOT / "docs" / "worker.md").read_text()
    (code,) = re.findall(r"^```toml file=pipeline.toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    stages: list[dict[str, Any]] = tomllib.loads(code)["stage"]
    return stages


def _stage(picture: Picture, queue: Box, stage: dict[str, Any]) -> Box:
    """Draw a stage behind its queue; return the queue that it puts into."""
    x, y = queue.middle
    processes = stage.get("processes", 1)
    handler = re.sub(r"^.*:", "", stage["handler"])
    worker = Box(Point(x + 165, y), 130, 62)
    output = Box(Point(x + 330, y), 110, 48)
    for behind in range(processes - 1, 0, -1):
        picture.box(Box(Point(worker.middle.x + 6 * behind, y - 6 * behind), 130, 62))
    picture.box(worker, f"{handler}()", f"{processes} process{'es' * (processes > 1)}")
    picture.text(Point(worker.middle.x, 40), "stage", look="small")
    picture.text(Point(output.middle.x, 40), "queue", look="small")
    picture.box(output, stage["output"], look="store")
    picture.straight(Point(x + 58, y), Point(worker.middle.x - 68, y))
    picture.straight(Point(worker.middle.x + 68 + 6 * (processes - 1), y), Point(x + 272, y))
    for number, (error, route) in enumerate(stage.get("on-error", {}).items()):
        name, _, delay = route.partition(":")
        place = Point(worker.middle.x - 75 + 165 * number, 235)
        notes = [f"after {delay} s"] if delay else []
        picture.box(Box(place, 120, 50), name, *notes, look="store")
        start = Point(worker.middle.x - 20 + 40 * number, y + 35)
        end = Point(place.x, place.y - 29)
        picture.straight(start, end)
        side = "end" if number == 0 else "start"
        at = start.towards(end, 0.5)
        picture.text(Point(at.x + (10 if number else -10), at.y), error, look="small", anchor=side)
    return output


# -- the architecture -----------------------------------------------------------------------------

DUTIES: Final = {
    "cli": "options, sockets",
    "server": "connections, time, signals",
    "protocol": "bytes to commands",
    "journal": "the log",
    "broker": "the rules of jobs",
}
"""What a layer of the daemon is for. A layer that is not named here is left out."""

HANDLERS: Final = ("processes", "run your handler,", "know no server")


def architecture() -> Picture:
    """Draw the daemon with its layers, its log, clients, and a worker with its processes."""
    picture = Picture(
        900,
        470,
        "Daemon, log, clients and worker processes",
        "Clients and workers speak to one daemon, which keeps its jobs in a log on disk.",
    )
    _daemon(picture)
    _clients(picture)
    _worker(picture)
    return picture


def layers() -> list[list[str]]:
    """Return the layers of the daemon, from the highest down; one row may be of several."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (rule,) = (
        each for each in project["tool"]["importlinter"]["contracts"]
        if each.get("containers") == ["stalkd"]
    )  # fmt: skip
    rows = [[name for name in row.split(" | ") if name in DUTIES] for row in rule["layers"]]
    return [row for row in rows if row]


def _daemon(picture: Picture) -> None:
    rows = layers()
    middle = Point(450, 180)
    picture.frame(Box(middle, 330, 320))
    picture.text(Point(450, 40), "stalkd", look="name")
    for number, row in enumerate(rows):
        width = 300 / len(row)
        for place, name in enumerate(row):
            x = 300 + width * (place + 0.5)
            picture.box(Box(Point(x, 87 + 70 * number), width - 10, 54), name, DUTIES[name])
    log = Box(Point(450, 425), 230, 54)
    picture.box(log, "write-ahead log", "-b DIR: wal.0000000001, …", look="store")
    picture.straight(Point(450, 343), Point(450, 395), both=True)
    picture.text(Point(462, 369), "one write for a round of commands", look="small", anchor="start")


def _clients(picture: Picture) -> None:
    for y, lines in (
        (75, ("producers", "Queue, @task")),
        (165, ("any Beanstalk client", "any language; nc")),
        (255, ("stalk", "look, mend, carry jobs")),
    ):
        picture.box(Box(Point(115, y), 180, 54), *lines)
        picture.straight(Point(208, y), Point(282, y), both=True)
    picture.text(Point(115, 312), "Beanstalk protocol", look="small")
    picture.text(Point(115, 329), "TCP, unix socket", look="small")


def _worker(picture: Picture) -> None:
    picture.frame(Box(Point(780, 180), 200, 320))
    picture.text(Point(780, 40), "stalk-worker", look="name")
    picture.box(Box(Point(780, 95), 176, 70), "supervisor", "has all connections", "and leases")
    for behind in (2, 1, 0):
        middle = Point(774 + 7 * behind, 240 - 7 * behind)
        picture.box(Box(middle, 160, 72), *(() if behind else HANDLERS))
    picture.straight(Point(780, 133), Point(780, 186), both=True)
    picture.straight(Point(689, 95), Point(618, 95), both=True)


PICTURES: Final = {
    "job-states.svg": job_states,
    "pipeline.svg": pipeline,
    "architecture.svg": architecture,
}


def main() -> None:
    """Write all pictures into the directory that is named, else beside this file."""
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, draw in PICTURES.items():
        (place / name).write_text(str(draw()))


if __name__ == "__main__":
    main()
