"""Very many values: in pieces, by several processes, with a word on how far it is."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import click
import pytest
from stalkd_client import (
    BuriedError,
    ExistsError,
    JobTooBigError,
    PushError,
    PushInterruptedError,
    Queue,
    StalkdError,
    parallel,
    pushing,
)
from stalkd_client.queue import Elsewhere

from support.daemon import free_port, start_stalkd


def numbers(start: int, stop: int) -> list[int]:
    return list(range(start, stop))


def key_of(value: int) -> str:
    return f"k{value % 7}"


def test_parallel_slices_keep_their_order(url: str, tube: str) -> None:
    values = list(range(25_000))
    with Queue(tube, url) as queue:
        ids = queue.push_many(values, parallel=2)
        assert len(set(ids)) == len(values)
        bodies = {queue.client.peek(ids[at]).body: at for at in (0, 9_999, 10_000, 24_999)}
        assert bodies == {b"%d" % at: at for at in bodies.values()}


def test_parallel_ranges(
    url: str, tube: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function is imported by the processes, by its name."""
    (tmp_path / "made_here.py").write_text(
        "def numbers(start, stop):\n    return (n * n for n in range(start, stop))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    import made_here  # type: ignore[import-not-found]  # noqa: PLC0415

    told: list[int] = []
    with Queue(tube, url) as queue:
        made = made_here.numbers
        count = queue.push_many(made, total=15_000, parallel=2, progress=told.append, priority=5)
        assert count == queue.count("ready") == 15_000
        assert told == [10_000, 15_000]
        lease = queue.lease()[0]
        assert lease.job.priority == 5


@pytest.mark.parametrize(
    "values", [iter([1, 2]), {1, 2}, numbers], ids=["iterator", "set", "function"]
)
def test_what_cannot_be_shared(url: str, tube: str, values: object) -> None:
    with Queue(tube, url) as queue, pytest.raises(TypeError, match="sliced"):
        queue.push_many(values, parallel=2)  # type: ignore[call-overload]


def test_ranges_without_processes_need_them(url: str, tube: str) -> None:
    """One process is as good as several."""
    push = Elsewhere(tube, url, "json", None, key_of, {"attempts": 2})
    assert len(parallel.Range(push, numbers)(3, 9)) == 6
    with Queue(tube, url) as queue:
        assert queue.count() == 6
        assert queue.pop(9) == [3, 4, 5, 6, 7, 8]


def test_other_processes_wait_for_a_server_as_long(
    url: str, tube: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def share(push: Elsewhere, values: list[int], *_: int) -> Iterator[list[int]]:
        with push._queue() as there:
            assert there.client._talker.retry_for == 10
        yield push(values, 0)

    monkeypatch.setattr(parallel, "share", share)
    with Queue(tube, url, retry_for=10) as queue:
        assert len(queue.push_many([1, 2, 3], parallel=2)) == queue.count() == 3


def test_a_refusal_in_another_process(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        queue.client.set_policy(tube, max_jobs=3)
        with pytest.raises(PushError, match="OUT_OF_MEMORY"):
            queue.push_many(list(range(20_000)), parallel=2)
        assert queue.count() == 3


def test_a_refusal_in_another_process_counts_all_before_it(url: str, tube: str) -> None:
    values: list[object] = [*range(10_005), "x" * 70_000]
    with Queue(tube, url) as queue:
        with pytest.raises(PushError, match="after 10005 values: JOB_TOO_BIG") as caught:
            queue.push_many(values, parallel=2)
        assert caught.value.pushed == queue.count() == 10_005
        assert isinstance(caught.value.__cause__, JobTooBigError)


@pytest.mark.parametrize(
    "error", [PushError("after 3", 3), ExistsError("k", 7), BuriedError("b", 8)], ids=repr
)
def test_errors_travel(error: StalkdError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_pieces_are_bounded_in_bytes(url: str, tube: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "PIECE_BYTES", 1_000)
    monkeypatch.setattr(pushing, "AT_ONCE", 2)
    told: list[int] = []
    with Queue(tube, url) as queue:
        queue.push_many(["x" * 300] * 9, progress=told.append)
        assert told == [4, 8, 9]


def test_a_value_that_cannot_be_written_stops_its_piece(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        with pytest.raises(TypeError, match="not JSON serializable"):
            queue.push_many([1, 2, {3}])
        assert queue.count() == 0


def test_a_bar(url: str, tube: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int | None, int]] = []

    class Bar:
        def __init__(self, length: int | None) -> None:
            self.length = length

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def update(self, steps: int) -> None:
            seen.append((self.length, steps))

    def progressbar(items: Iterator[int] | None, length: int | None, **_: object) -> Bar:
        assert (items is None) == (length is not None)
        return Bar(length)

    monkeypatch.setattr(click, "progressbar", progressbar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Queue(tube, url) as queue:
        queue.push_many(list(range(12_000)), progress=True)
        queue.push_many(iter(range(3)), progress=True)
        queue.push_many(iter(range(3)), progress=True, total=3)
    assert seen == [(12_000, 10_000), (12_000, 2_000), (None, 3), (3, 3)]


def test_a_real_bar_draws_nothing_without_a_terminal(
    url: str, tube: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Queue(tube, url) as queue:
        assert queue.push_many(iter(range(3)), progress=True) == 3
        assert queue.push_many([1, 2], progress=True, total=2)
    assert capsys.readouterr() == ("", "")


def test_a_broken_connection_tells_how_many_are_certain(tmp_path: Path) -> None:
    """The daemon is killed after the second piece."""
    with start_stalkd() as daemon, Queue("q", f"stalkd://127.0.0.1:{daemon.port}") as queue:

        def kill(so_far: int) -> None:
            if so_far == 20_000:
                daemon.kill()

        with pytest.raises(PushInterruptedError, match="after 20000 values") as caught:
            queue.push_many(range(40_000), progress=kill)
        assert caught.value.pushed == 20_000


def test_with_keys_a_broken_connection_is_no_end(tmp_path: Path) -> None:
    """The piece is sent again to the daemon that comes back, and no value is there twice."""
    port = str(free_port())
    options = ("-p", port, "-b", str(tmp_path / "log"), "-f", "0")
    with (
        ExitStack() as daemons,
        Queue("q", f"stalkd://127.0.0.1:{port}", retry_for=30) as queue,
    ):
        first = daemons.enter_context(start_stalkd(*options))

        def restart(so_far: int) -> None:
            if so_far == 10_000:
                first.kill()
                daemons.enter_context(start_stalkd(*options))

        assert queue.push_many(range(30_000), key=str, progress=restart) == 30_000
        assert queue.count() == 30_000
