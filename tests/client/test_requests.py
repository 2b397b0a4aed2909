"""Bytes of commands and reading of replies, without a socket."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from stalkd_client import beyond, documents, requests
from stalkd_client.errors import ERRORS, ExistsError, ProtocolError, StalkdError
from stalkd_client.exchange import Reply, Request
from stalkd_client.jobs import Job
from stalkd_client.stream import Buffer

from support.core import Core

CASES: list[tuple[Request[Any], bytes, bytes, Any]] = [
    (requests.put(b"hi"), b"put 65536 0 60 2\r\nhi\r\n", b"INSERTED 7\r\n", 7),
    (
        requests.put(b"hi", delay=0.25, key="k", tube="t", sync=True),
        b"put-with 65536 0.25 60 2 tube=t sync=1 key=k\r\nhi\r\n",
        b"INSERTED 7\r\n",
        7,
    ),
    (requests.use("t"), b"use t\r\n", b"USING t\r\n", "t"),
    (requests.reserve(), b"reserve\r\n", b"RESERVED 1 4\r\n\r\n\r\n\r\n", Job(1, b"\r\n\r\n")),
    (requests.reserve(0.2), b"reserve-with-timeout 1\r\n", b"RESERVED 1 0\r\n\r\n", Job(1, b"")),
    (requests.reserve_job(3), b"reserve-job 3\r\n", b"RESERVED 3 1\r\nx\r\n", Job(3, b"x")),
    (
        beyond.reserve_batch(2, 0.5),
        b"reserve-batch 2 0.5\r\n",
        b"RESERVED_BATCH 2\r\nJOB 1 1 5 60 2 t\r\na\r\nJOB 2 2 6 1.5 1 u\r\n\r\n\r\n",
        [Job(1, b"a", 2, 5, 60.0, "t"), Job(2, b"\r\n", 1, 6, 1.5, "u")],
    ),
    (requests.delete(1), b"delete 1\r\n", b"DELETED\r\n", None),
    (requests.release(1, delay=3), b"release 1 65536 3\r\n", b"RELEASED\r\n", None),
    (requests.bury(1, priority=2), b"bury 1 2\r\n", b"BURIED\r\n", None),
    (requests.touch(1), b"touch 1\r\n", b"TOUCHED\r\n", None),
    (requests.touch(1, 2.5), b"touch-for 1 2.5\r\n", b"TOUCHED\r\n", None),
    (requests.watch("t"), b"watch t\r\n", b"WATCHING 2\r\n", 2),
    (requests.ignore("t"), b"ignore t\r\n", b"WATCHING 1\r\n", 1),
    (beyond.wait_job(1, 2), b"wait-job 1 2\r\n", b"BURIED\r\n", "buried"),
    (requests.kick(9), b"kick 9\r\n", b"KICKED 3\r\n", 3),
    (requests.kick_job(9), b"kick-job 9\r\n", b"KICKED\r\n", None),
    (requests.pause_tube("t", 1.2), b"pause-tube t 2\r\n", b"PAUSED\r\n", None),
    (requests.peek(1), b"peek 1\r\n", b"FOUND 1 1\r\nx\r\n", Job(1, b"x")),
    (requests.stats(), b"stats\r\n", b"OK 9\r\n---\na: 1\n\r\n", {"a": 1}),
    (requests.list_tubes(), b"list-tubes\r\n", b"OK 8\r\n---\n- 1\n\r\n", ["1"]),
    (beyond.purge_tube("t"), b"purge-tube t all\r\n", b"PURGED 4\r\n", 4),
    (beyond.move_jobs("t", "all", "u", 9), b"move-jobs t all u 9\r\n", b"MOVED 4\r\n", 4),
    (beyond.set_policy("t", dead=""), b"set-policy t dead=\r\n", b"POLICY_SET\r\n", None),
    (beyond.drain(on=True), b"drain on\r\n", b"DRAINING\r\n", True),
    (beyond.drain(on=False), b"drain off\r\n", b"ACCEPTING\r\n", False),
]
each_case = pytest.mark.parametrize(
    ("request_", "sent", "reply", "result"),
    CASES,
    ids=[f"{number}-{case[0].verb}" for number, case in enumerate(CASES)],
)


def read(request: Request[Any], data: bytes, piece: int) -> Any:
    """Feed a reply in pieces; all of it must be taken."""
    reply, buffer = Reply(request), Buffer()
    for start in range(0, len(data), piece):
        buffer.add(data[start : start + piece])
        while (taken := buffer.take(reply.wanted)) is not None:
            if reply.take(taken):
                assert start + piece >= len(data)
                assert buffer.take(1) is None
                if isinstance(reply.result, StalkdError):
                    raise reply.result
                return reply.result
    raise AssertionError("the reply was not complete")


@each_case
def test_request_and_reply(request_: Request[Any], sent: bytes, reply: bytes, result: Any) -> None:
    assert request_.data == sent
    assert read(request_, reply, len(reply)) == result
    assert read(request_, reply, 1) == result


@each_case
def test_every_refusal_raises_its_class(
    request_: Request[Any], sent: bytes, reply: bytes, result: Any
) -> None:
    for word, error in ERRORS.items():
        if request_.verb == "drain" and word == b"DRAINING":
            continue
        with pytest.raises(error) as caught:
            read(request_, word + b"\r\n", 1)
        assert type(caught.value) is error


@each_case
@pytest.mark.parametrize("line", [b"", b"HTTP/1.1 400", b"INSERTED x", b"\xff\xfe", b"EXISTS x"])
def test_what_is_no_reply_raises_protocol_error(
    request_: Request[Any], sent: bytes, reply: bytes, result: Any, line: bytes
) -> None:
    with pytest.raises(ProtocolError):
        read(request_, line + b"\r\n", 1)


@pytest.mark.parametrize("line", [b"JOB 1 2", b"JOB 1 0 3 x 5 t", b"JOB x 0 1 1 1 t"])
def test_a_broken_line_in_a_batch_raises_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(beyond.reserve_batch(1, 0), b"RESERVED_BATCH 1\r\n" + line + b"\r\n\r\n", 1)


def test_exists_tells_the_id() -> None:
    with pytest.raises(ExistsError) as caught:
        read(requests.put(b"", key="k"), b"EXISTS 12\r\n", 1)
    assert caught.value.id == 12
    assert isinstance(caught.value, StalkdError)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a\r\nb", "ä", "a" * 201])
def test_bad_tubes_and_keys(name: str) -> None:
    for make in (requests.use, requests.watch, requests.ignore, beyond.get_policy):
        with pytest.raises(ValueError, match="no name for a tube"):
            make(name)
    key = "a" * 251 if name.isascii() and name.isalpha() else name.removeprefix("-a")
    with pytest.raises(ValueError, match="is no key"):
        requests.put(b"", key=key)


@pytest.mark.parametrize("number", [-1, 1 << 32, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["priority", "delay", "ttr"])
def test_a_put_that_no_server_reads_is_never_sent(name: str, number: float) -> None:
    with pytest.raises(ValueError, match="not between"):
        requests.put(b"delete 1\r\n", **{name: number})  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [5, [1, 2], None, {"a": 1}])
def test_a_body_is_bytes_or_text(body: Any) -> None:
    with pytest.raises(TypeError, match="a body is bytes or str"):
        requests.put(body)


@pytest.mark.parametrize("seconds", [-1, -0.5, float("inf"), float("nan")])
def test_a_time_that_is_none_is_never_sent(seconds: float) -> None:
    """A server takes a negative timeout for an endless one."""
    for make in (
        lambda: requests.reserve(seconds),
        lambda: beyond.reserve_batch(1, seconds),
        lambda: beyond.wait_job(1, seconds),
        lambda: requests.touch(1, seconds),
        lambda: requests.release(1, delay=seconds),
        lambda: requests.pause_tube("t", seconds),
        lambda: requests.put(b"", ttl=seconds),
    ):
        with pytest.raises(ValueError, match="no number of seconds"):
            make()


def test_numbers_that_are_none_are_never_sent() -> None:
    for make in (
        lambda: requests.release(1, priority=-1),
        lambda: requests.bury(1, priority=1 << 32),
        lambda: requests.kick(-1),
        lambda: beyond.reserve_batch(0),
    ):
        with pytest.raises(ValueError, match=r"not between|none to be taken"):
            make()


def test_a_state_cannot_carry_a_command() -> None:
    with pytest.raises(ValueError, match="no state"):
        beyond.purge_tube("t", "all\r\ndelete 1")


def test_documents_of_the_server_read_as_a_yaml_library_does() -> None:
    core = Core()
    session = core.connect()
    for tube in ("123", "true", "a-b"):
        assert core.ask(session, b"use %b\r\n" % tube.encode()).startswith(b"USING")
        assert core.ask(session, b"put 1 0 60 1\r\nx\r\n").startswith(b"INSERTED")

    def told(request: Request[Any]) -> tuple[Any, Any]:
        reply = core.ask(session, request.data)
        return read(request, reply, 1), yaml.safe_load(reply.partition(b"\r\n")[2])

    for mapping in (requests.stats_job(1), requests.stats_tube("a-b"), requests.list_tubes()):
        mine, theirs = told(mapping)
        if isinstance(mine, list):
            assert mine == ["default", "123", "true", "a-b"]
        else:
            assert mine.keys() == theirs.keys()
            assert {k: str(v) for k, v in mine.items()} == {k: str(v) for k, v in theirs.items()}
    page, theirs = told(beyond.list_jobs("a-b"))
    assert [job["id"] for job in page.jobs] == [job["id"] for job in theirs["jobs"]] == [3]
    (_, reasons), theirs = told(beyond.explain_job(1))
    assert reasons == theirs["reasons"]
    assert documents.listing("---\n") == []
