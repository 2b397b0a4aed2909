"""The screen of ``stalk top``. Needs textual, the extra ``stalkd[top]``."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Static

from stalkd_client.client import Client
from stalkd_client.command import times
from stalkd_client.command.exits import explain
from stalkd_client.command.rates import SORTS, Line, Sample, compare, sort
from stalkd_client.command.top import sample
from stalkd_client.errors import StalkdError

HEADS: Final = (
    *("TUBE", "PUT/S", "DONE/S", "READY", "RESERVED", "DELAYED", "BURIED"),
    *("OLDEST", "WAITING"),
)


class Top(App[None]):
    """All tubes in a table that is filled anew again and again.

    ``look`` gives a sample; while it raises, the screen keeps what it has, and says so.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "Leave"),
        Binding("ctrl+c", "quit", show=False, priority=True),  # Else textual only talks of it.
        ("s", "sort", "Sort by the next column"),
        ("p", "pause", "Stop, go on"),
    ]
    CSS: ClassVar[str] = "#state { height: 1; } #tubes { height: 1fr; }"  # Only the table scrolls.
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False

    def __init__(self, title: str, look: Callable[[], Sample], interval: float, order: str) -> None:
        super().__init__()
        self._title, self._look, self._interval = title, look, interval
        self.order: str = order
        self.is_paused: bool = False
        self._before: Sample | None = None
        self._lines: list[Line] = []

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield Static(self._title, id="state", markup=False)
        yield DataTable[Text](id="tubes", cursor_type="row", zebra_stripes=True)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        table = self._table()
        for number, head in enumerate(HEADS):
            table.add_column(Text(head, justify="right" if number else "left"))
        self.refresh_tubes()
        self.set_interval(self._interval, self.refresh_tubes)

    def refresh_tubes(self) -> None:
        """Look again, unless somebody wants to read."""
        if self.is_paused:
            return
        try:
            now = self._look()
        except (StalkdError, OSError) as error:
            self._say(explain(error, self._title)[1])
            return
        self._lines = compare(self._before or now, now)
        self._before = now
        self._fill()

    def action_sort(self) -> None:
        """Sort by the next column."""
        orders = list(SORTS)
        self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        self._fill()

    def action_pause(self) -> None:
        """Stop, or go on."""
        self.is_paused = not self.is_paused
        self._fill()

    def _table(self) -> DataTable[Text]:
        return self.query_one("#tubes", DataTable)

    def _fill(self) -> None:
        table = self._table()
        at = table.cursor_row
        table.clear()
        for line in sort(self._lines, self.order):
            name, *numbers = cells(line)
            table.add_row(Text(name), *[Text(number, justify="right") for number in numbers])
        if table.row_count:
            table.move_cursor(row=min(at, table.row_count - 1))
        stopped = ", stopped" if self.is_paused else ""
        self._say(f"{len(self._lines)} tubes, by {self.order}{stopped}")

    def _say(self, text: str) -> None:
        self.query_one("#state", Static).update(f"{self._title}: {text}")


def cells(line: Line) -> list[str]:
    """Return what is shown of a tube."""
    return [
        line.name,
        f"{line.put_rate:.1f}",
        f"{line.done_rate:.1f}",
        *map(str, (line.ready, line.reserved, line.delayed, line.buried)),
        "-" if line.age is None or not line.ready else times.shown(line.age),
        str(line.waiting),
    ]


def run(client: Client, interval: float, order: str) -> None:
    """Show the screen until somebody leaves it."""
    first = sample(client)  # A server that is away is told before the screen is taken.
    before = [first]

    def look() -> Sample:
        return before.pop() if before else sample(client)

    Top(str(client.address), look, interval, order).run()
