"""Bodies larger than the server takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stalkd_client import JobTooBigError, PushError, Queue, SpillError
from stalkd_client.spill import MAGIC, Spill

from support.cutting import cut_at
from support.daemon import Daemon

LARGE = "x" * 100_000


@pytest.fixture
def queue(url: str, tube: str, tmp_path: Path) -> Iterator[Queue]:
    with Queue(tube, url, spill=tmp_path / "spill") as made:
        yield made


def files(tmp_path: Path) -> list[str]:
    directory = tmp_path / "spill"
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def test_there_and_back(queue: Queue, tmp_path: Path) -> None:
    queue.push(LARGE)
    queue.push("small")
    assert len(files(tmp_path)) == 1
    large, small = queue.lease(2)
    assert (large.value, small.value) == (LARGE, "small")
    assert large.body == f'"{LARGE}"'.encode()
    assert len(large.job.body) < 100
    small.ack()
    large.retry()
    assert len(files(tmp_path)) == 1
    with queue.lease()[0] as lease:
        assert lease.value == LARGE
    assert files(tmp_path) == []


def test_many_at_once(queue: Queue, tmp_path: Path) -> None:
    queue.push_many([LARGE, 1, LARGE])
    assert len(files(tmp_path)) == 2
    assert queue.pop(3) == [LARGE, 1, LARGE]
    assert files(tmp_path) == []


def test_what_was_not_acknowledged_keeps_its_file(queue: Queue, tmp_path: Path) -> None:
    queue.push(LARGE)
    leases = queue.lease()
    queue.client.close()
    assert queue.ack(leases) == 0
    assert len(files(tmp_path)) == 1


def test_what_was_refused_leaves_no_file(queue: Queue, tmp_path: Path) -> None:
    first = queue.push(LARGE, key="k")
    assert queue.push(LARGE, key="k") == first
    assert len(files(tmp_path)) == 1
    assert queue.pop() == [LARGE]


def test_many_that_were_refused_leave_no_files(queue: Queue, tmp_path: Path) -> None:
    first, again = queue.push_many([LARGE, LARGE], key=len_of)
    assert first == again
    assert len(files(tmp_path)) == 1
    queue.client.set_policy(queue.name, max_jobs=2)
    with pytest.raises(PushError, match="after 1 values"):
        queue.push_many([LARGE, LARGE, LARGE])
    assert len(files(tmp_path)) == 2
    assert queue.pop(3) == [LARGE, LARGE]


def len_of(value: str) -> str:
    return str(len(value))


def test_a_put_that_is_sent_again_keeps_its_file(server: Daemon, tube: str, tmp_path: Path) -> None:
    """The server has done the first one, and says that the key is there."""
    with (
        cut_at((server.host, server.port), b"INSERTED") as url,
        Queue(tube, url, spill=tmp_path / "spill", retry_for=10) as queue,
    ):
        queue.push(LARGE, key="k")
        assert queue.pop() == [LARGE]
        assert files(tmp_path) == []


def test_without_a_directory_the_error_names_the_limit(url: str, tube: str) -> None:
    with Queue(tube, url) as queue:
        with pytest.raises(JobTooBigError, match=r"100002 bytes.*at most 65535 bytes.*spill"):
            queue.push(LARGE)
        with pytest.raises(PushError, match=r"after 1 values: .*at most 65535") as caught:
            queue.push_many([1, LARGE])
        assert isinstance(caught.value.__cause__, JobTooBigError)


def test_a_missing_file_says_which(queue: Queue, tmp_path: Path) -> None:
    queue.push(LARGE)
    (name,) = files(tmp_path)
    (tmp_path / "spill" / name).unlink()
    (lease,) = queue.lease()
    with pytest.raises(SpillError, match=name):
        _ = lease.value
    lease.bury()


def test_a_damaged_file_is_noticed(queue: Queue, tmp_path: Path) -> None:
    queue.push(LARGE)
    (name,) = files(tmp_path)
    (tmp_path / "spill" / name).write_bytes(b"y" * 100_002)
    with pytest.raises(SpillError, match="not what was written"):
        _ = queue.lease()[0].value


@pytest.mark.parametrize("name", [b"../../etc/passwd", b"/etc/passwd", b"", b"a" * 31, b"A" * 32])
def test_a_reference_leads_nowhere_else(tmp_path: Path, name: bytes) -> None:
    """Whoever can put jobs must not be able to read, or remove, other files."""
    spill = Spill(tmp_path)
    body = MAGIC + b"1 %b 3 00000000\n" % name
    for use in (spill.fetch, spill.forget):
        with pytest.raises(SpillError, match="no reference"):
            use(body)


def test_a_body_that_looks_like_a_reference(url: str, tube: str, tmp_path: Path) -> None:
    body = MAGIC + b"1 %b 3 00000000\n" % (b"a" * 32)
    with Queue(tube, url, codec="bytes", spill=tmp_path / "spill") as queue:
        queue.push(body)
        assert queue.pop() == [body]


@pytest.mark.needs("beanstalkd")
def test_on_the_original(original: str, tmp_path: Path) -> None:
    with Queue("q", original, spill=tmp_path / "spill") as queue:
        queue.push(LARGE)
        assert queue.pop() == [LARGE]
        assert files(tmp_path) == []


@pytest.mark.parametrize("codec", ["json", "text", "bytes"])
def test_who_has_no_directory_is_told(url: str, tube: str, tmp_path: Path, codec: str) -> None:
    """Else the reference would be read as the value, and be acknowledged."""
    with Queue(tube, url, codec=codec, spill=tmp_path / "spill") as queue:
        queue.push(LARGE.encode() if codec == "bytes" else LARGE)
        with Queue(tube, url, codec=codec) as other, pytest.raises(SpillError, match="spill=DIR"):
            other.pop()
        assert len(queue.pop()[0]) == len(LARGE)
