"""Envelopes: what is written, and what is refused with which words."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from stalkd_client import BadArgumentsError, BadEnvelopeError
from stalkd_client.tasks.envelope import JSON, Envelope, find_codec


def test_what_is_written_is_plain_json() -> None:
    written = Envelope("mail.send", ("ä", 1), {"cc": None}).encode()
    assert written == '{"task":"mail.send","args":["ä",1],"kwargs":{"cc":null}}'.encode()
    assert Envelope.decode(written) == Envelope("mail.send", ("ä", 1), {"cc": None})


def test_a_reply_is_asked_for_by_its_tube() -> None:
    envelope = Envelope("t", reply="reply.1", reply_ttl=60)
    assert json.loads(envelope.encode())["reply"] == "reply.1"
    assert Envelope.decode(envelope.encode()) == envelope


def test_only_the_task_must_be_there_and_unknown_members_are_ignored() -> None:
    assert Envelope.decode(b'{"task": "t"}') == Envelope("t")
    assert Envelope.decode(b'{"task": "t", "args": [1], "trace": {"id": 7}}').args == (1,)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no json"),
        (b"\xff", "no json"),
        (b"[" * 100_000, "no json"),
        (pickle.dumps({"task": "t"}), "no json"),
        (b"[]", 'no "task"'),
        (b"{}", 'no "task"'),
        (b'{"task": 1}', '"task" is a int'),
        (b'{"task": "t", "args": {}}', '"args" is a dict'),
        (b'{"task": "t", "kwargs": []}', '"kwargs" is a list'),
        (b'{"task": "t", "reply": 1}', '"reply" is a int'),
        (b'{"task": "t", "reply": "a b"}', '"reply": .* no name for a tube'),
        (b'{"task": "t", "reply_ttl": true}', '"reply_ttl" is a bool'),
    ],
    ids=range(12),
)
def test_what_is_no_envelope_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(BadEnvelopeError, match=words):
        Envelope.decode(body)


@pytest.mark.parametrize("value", [{1}, float("nan"), "\ud800", b"x", 10**5000], ids=range(5))
def test_what_other_languages_cannot_read_is_not_written(value: Any) -> None:
    with pytest.raises(BadArgumentsError, match="cannot be written as json"):
        Envelope("t", (value,)).encode()


def test_pickle_only_with_trust() -> None:
    codec = find_codec("pickle", trusted=True)
    envelope = Envelope("t", ({1, 2},))
    assert Envelope.decode(envelope.encode(codec), codec) == envelope
    with pytest.raises(BadEnvelopeError):
        Envelope.decode(JSON.dumps({"task": "t"}), codec)
    with pytest.raises(BadEnvelopeError, match="name that is no text"):
        Envelope.decode(codec.dumps({"task": "t", "kwargs": {1: 2}}), codec)
    with pytest.raises(ValueError, match="trusted"):
        find_codec("pickle", trusted=False)
    with pytest.raises(ValueError, match="cannot hold a task"):
        find_codec("bytes", trusted=False)
    with pytest.raises(ValueError, match="is no codec"):
        find_codec("yaml", trusted=False)
