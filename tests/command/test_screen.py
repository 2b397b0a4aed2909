"""The screen of ``stalk top``, driven by textual's own pilot on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from stalkd_client.command.rates import Sample
from stalkd_client.command.screen import Top
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

NEVER = 3_600.0


def told(name: str, ready: int, put: int) -> dict[str, Any]:
    return {"name": name, "current-jobs-ready": ready, "total-jobs": put, "oldest-ready-age": 75}


def drive(app: Top, steps: Callable[[Pilot[None]], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        async with app.run_test(size=(100, 20)) as pilot:
            await steps(pilot)

    asyncio.run(go())


def rows(app: Top) -> list[list[str]]:
    table = app.query_one(DataTable)
    return [[str(cell) for cell in table.get_row_at(n)] for n in range(table.row_count)]


def state(app: Top) -> str:
    return str(app.query_one(Static).render())


def test_it_shows_rates_and_sorts() -> None:
    samples = [
        Sample.of(0.0, [told("a", 1, 10), told("b", 5, 10)]),
        Sample.of(2.0, [told("a", 1, 30), told("b", 5, 10)]),
    ]
    app = Top("here", lambda: samples.pop(0), NEVER, "ready")

    async def steps(pilot: Pilot[None]) -> None:
        assert [row[0] for row in rows(app)] == ["b", "a"]
        app.refresh_tubes()
        assert rows(app)[1][:4] == ["a", "10.0", "0.0", "1"]
        assert rows(app)[0][7] == "1m15s"
        await pilot.press("p")
        app.refresh_tubes()  # There is no third sample: it must not look.
        assert "stopped" in state(app)
        app.order = "name"
        await pilot.press("s")
        assert [row[0] for row in rows(app)] == ["a", "b"]
        assert "by put" in state(app)
        await pilot.press("q")

    drive(app, steps)
    assert app.return_code == 0


def test_only_the_table_scrolls() -> None:
    """However many tubes there are, the line above it and the keys below it are seen."""
    now = Sample.of(0.0, [told(f"tube{number}", 1, 1) for number in range(99)])
    app = Top("here", lambda: now, NEVER, "name")

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("end")
        await pilot.pause()
        assert app.query_one(Static).region.y == 0
        assert app.query_one(DataTable).region.height < 20
        assert app.screen.max_scroll_y == 0

    drive(app, steps)


def test_a_server_that_goes_away_is_told_and_the_numbers_stay() -> None:
    samples = [Sample.of(0.0, [told("a", 1, 10)])]

    def look() -> Sample:
        if not samples:
            raise ConnectionError("cannot connect to here: no")
        return samples.pop()

    app = Top("here", look, NEVER, "ready")

    async def steps(pilot: Pilot[None]) -> None:
        app.refresh_tubes()
        assert "cannot connect" in state(app)
        assert [row[0] for row in rows(app)] == ["a"]
        await pilot.pause()

    drive(app, steps)


def test_without_textual_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415

    from stalkd_client.command import top  # noqa: PLC0415
    from stalkd_client.command.exits import CommandError  # noqa: PLC0415

    monkeypatch.delitem(sys.modules, "stalkd_client.command.screen")
    monkeypatch.setitem(sys.modules, "textual.app", None)
    with pytest.raises(CommandError, match=r"pip install 'stalkd\[top\]'"):
        top._screen()
