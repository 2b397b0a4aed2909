"""A picture as SVG: boxes, text and arrows, in colours for a light and for a dark page.

Text stays text, so it can be searched, copied and read aloud. A picture brings its own background,
as nobody knows the page around it.
"""

from __future__ import annotations

from math import hypot
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

LINE_HEIGHT: Final = 17
"""Between two lines of a text, in pixels."""

STEPS: Final = 200
"""A curve is looked at in so many places to find where it leaves a box: half a pixel."""

GAP: Final = 5
"""Between the end of an arrow and the box, in pixels."""

STYLE: Final = """
.page{fill:#fff}
.box{fill:#eaf2fb;stroke:#2b6cb0;stroke-width:1.5}
.store{fill:#fdf3e1;stroke:#b7791f;stroke-width:1.5}
.frame{fill:none;stroke:#8a94a3;stroke-width:1.2;stroke-dasharray:5 4}
.line{fill:none;stroke:#55606e;stroke-width:1.5}
.head{fill:#55606e}
text{font:14px system-ui,sans-serif;fill:#1a202c}
.name{font-weight:600}
.small{font-size:12.5px;fill:#4a5565}
.code{font:13px ui-monospace,monospace}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117}
.box{fill:#14273d;stroke:#63a4ea}
.store{fill:#33270f;stroke:#dca54a}
.frame{stroke:#7d8794}
.line{stroke:#a9b3bf}
.head{fill:#a9b3bf}
text{fill:#e6edf3}
.small{fill:#b3bcc7}
}
"""


class Point(NamedTuple):
    """A place in pixels, from the upper left corner."""

    x: float
    y: float

    def towards(self, other: Point, share: float) -> Point:
        """Return the place that lies this share of the way to the other."""
        return Point(
            self.x + (other.x - self.x) * share,
            self.y + (other.y - self.y) * share,
        )


class Box(NamedTuple):
    """A rectangle around its middle."""

    middle: Point
    width: float
    height: float

    def holds(self, place: Point) -> bool:
        """Whether a place is inside, or nearly."""
        return (
            abs(place.x - self.middle.x) < self.width / 2 + GAP
            and abs(place.y - self.middle.y) < self.height / 2 + GAP
        )


class Picture:
    """What is drawn so far; ``str`` makes a document of it."""

    def __init__(self, width: int, height: int, title: str, about: str) -> None:
        self.size = (width, height)
        self.title = title
        self.about = about
        self.parts: list[str] = []

    def box(self, box: Box, *lines: str, look: str = "box") -> None:
        """Draw a rectangle with a name, and lines in small print below it."""
        x, y = box.middle.x - box.width / 2, box.middle.y - box.height / 2
        self.parts.append(
            f'<rect class="{look}" x="{x:g}" y="{y:g}" width="{box.width:g}" '
            f'height="{box.height:g}" rx="8"/>'
        )
        top = box.middle.y - (len(lines) - 1) * LINE_HEIGHT / 2
        for number, line in enumerate(lines):
            place = Point(box.middle.x, top + number * LINE_HEIGHT)
            self.text(place, line, look="small" if number else "name")

    def text(self, place: Point, text: str, *, look: str = "", anchor: str = "middle") -> None:
        """Write one line, its middle at this height."""
        looks = f" class={quoteattr(look)}" if look else ""
        self.parts.append(
            f'<text{looks} x="{place.x:g}" y="{place.y + 5:g}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def lines(self, place: Point, lines: list[str], *, look: str, anchor: str = "middle") -> None:
        """Write several lines around this height."""
        top = place.y - (len(lines) - 1) * LINE_HEIGHT / 2
        for number, line in enumerate(lines):
            self.text(Point(place.x, top + number * LINE_HEIGHT), line, look=look, anchor=anchor)

    def dot(self, place: Point, radius: float = 7) -> None:
        """Draw where something begins or ends."""
        self.parts.append(
            f'<circle class="head" cx="{place.x:g}" cy="{place.y:g}" r="{radius:g}"/>'
        )

    def frame(self, box: Box) -> None:
        """Draw a dashed rectangle around things that belong together."""
        x, y = box.middle.x - box.width / 2, box.middle.y - box.height / 2
        self.parts.append(
            f'<rect class="frame" x="{x:g}" y="{y:g}" width="{box.width:g}" '
            f'height="{box.height:g}" rx="12"/>'
        )

    def arrow(self, start: Point, bend: Point, end: Point, *, both: bool = False) -> None:
        """Draw a curved line with a head at its end, or at both; ``bend`` is what attracts it."""
        self.parts.append(
            f'<path class="line" d="M{start.x:.1f},{start.y:.1f} Q{bend.x:.1f},{bend.y:.1f} '
            f'{end.x:.1f},{end.y:.1f}"/>'
        )
        self._head(bend, end)
        if both:
            self._head(bend, start)

    def _head(self, origin: Point, end: Point) -> None:
        """Draw the head of an arrow that comes from somewhere."""
        length = hypot(end.x - origin.x, end.y - origin.y)
        x, y = (end.x - origin.x) / length, (end.y - origin.y) / length
        tail = Point(end.x - 9 * x, end.y - 9 * y)
        self.parts.append(
            f'<path class="head" d="M{end.x:.1f},{end.y:.1f} L{tail.x - 4 * y:.1f},'
            f'{tail.y + 4 * x:.1f} L{tail.x + 4 * y:.1f},{tail.y - 4 * x:.1f} z"/>'
        )

    def straight(self, start: Point, end: Point, *, both: bool = False) -> None:
        """Draw a straight arrow."""
        self.arrow(start, start.towards(end, 0.5), end, both=both)

    def join(self, start: Box, end: Box, bend: Point) -> Point:
        """Draw a curved arrow from the edge of a box to that of another; return its middle."""
        places = [on_curve(start.middle, bend, end.middle, n / STEPS) for n in range(STEPS + 1)]
        free = [n for n, each in enumerate(places) if not (start.holds(each) or end.holds(each))]
        first, last = free[0] / STEPS, free[-1] / STEPS
        ends = start.middle, bend, end.middle
        self.arrow(*piece(*ends, first, last))
        return places[(free[0] + free[-1]) // 2]

    def __str__(self) -> str:
        width, height = self.size
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
                f'width="{width}" height="{height}" role="img" aria-labelledby="title about">',
                f'<title id="title">{escape(self.title)}</title>',
                f'<desc id="about">{escape(self.about)}</desc>',
                f"<style>{STYLE}</style>",
                f'<rect class="page" width="{width}" height="{height}" rx="10"/>',
                *self.parts,
                "</svg>\n",
            ]
        )


def on_curve(start: Point, bend: Point, end: Point, share: float) -> Point:
    """Return a place on a quadratic curve."""
    return start.towards(bend, share).towards(bend.towards(end, share), share)


def piece(
    start: Point, bend: Point, end: Point, first: float, last: float
) -> tuple[Point, Point, Point]:
    """Return the part of a quadratic curve between two shares of its way."""
    begin, finish = on_curve(start, bend, end, first), on_curve(start, bend, end, last)
    middle = start.towards(bend, first).towards(bend.towards(end, first), last)
    return begin, middle, finish
