"""Frames and headers: each is valid in its own place only, and every damage is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalkd.journal.frames import (
    FRAME_SIZE,
    HEADER_SIZE,
    MAGIC,
    ForeignError,
    Header,
    HeaderError,
    find_frames,
    frame,
    is_blank,
    pack_header,
    read_frames,
    tag_of,
    unpack_header,
)
from stalkd.journal.limits import FORMAT_VERSION

U64 = st.integers(0, 2**64 - 1)
HEADERS = st.builds(Header, U64, U64, st.tuples(U64, U64))
PAYLOADS = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8)
TAG = tag_of(0x1234567890, 7)
NEEDLE = TAG.to_bytes(4, "little")

JUNK = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.just(NEEDLE),
        # A tag, and a length that leads nowhere or beyond the end.
        st.builds(lambda n: NEEDLE + n.to_bytes(4, "little"), st.integers(0, 200)),
        st.just(NEEDLE + b"\xff" * 8),
        st.just(bytes(30)),
    ),
    max_size=4,
).map(b"".join)
"""What may lie between frames: also what looks like the beginning of one."""


def framed(payloads: list[bytes], start: int) -> bytes:
    """Frames one behind the other, the first at ``start``."""
    data = b""
    for payload in payloads:
        data += frame(payload, TAG, start + len(data))
    return data


@given(PAYLOADS, st.integers(0, 2**32), st.binary(max_size=20))
def test_frames_are_read_up_to_the_first_that_is_none(
    payloads: list[bytes], start: int, rest: bytes
) -> None:
    """Whole ones come back in their order, with the places where they end."""
    start %= 1000
    data = bytes(start) + framed(payloads, start)
    read = list(read_frames(data + rest, TAG, start, len(data + rest)))
    ends = [end for end, _ in read]
    assert [payload for _, payload in read] == payloads
    assert ends[-1] == len(data)
    assert ends == sorted(ends)


@given(PAYLOADS, st.data())
def test_frames_end_at_the_limit(payloads: list[bytes], data: st.DataObject) -> None:
    """A frame that is not wholly below it does not count."""
    content = framed(payloads, 0)
    limit = data.draw(st.integers(0, len(content)))
    whole = [end for end, _ in read_frames(content, TAG, 0, len(content)) if end <= limit]
    assert [end for end, _ in read_frames(content, TAG, 0, limit)] == whole
    assert [end for end, _ in read_frames(content[:limit], TAG, 0, limit)] == whole


@given(st.lists(st.tuples(JUNK, PAYLOADS), max_size=5), JUNK)
def test_every_intact_frame_is_found(parts: list[tuple[bytes, list[bytes]]], last: bytes) -> None:
    """Whatever lies between, and nothing else is taken for one."""
    data, expected = b"", []
    for junk, payloads in parts:
        data += junk
        for payload in payloads:
            expected.append((len(data), payload))
            data += frame(payload, TAG, len(data))
    data += last
    assert list(find_frames(data, TAG, 0, len(data))) == expected


@given(st.binary(max_size=400) | JUNK, st.integers(0, 20), st.integers(0, 400))
def test_junk_is_read_without_an_error(data: bytes, start: int, limit: int) -> None:
    """And nothing is found in it."""
    limit = min(limit, len(data))
    assert list(read_frames(data, TAG, start, limit)) == []
    assert list(find_frames(data, TAG, start, limit)) == []


@given(PAYLOADS, st.integers(0, 2000), st.integers(0, 2000))
def test_a_frame_counts_in_its_own_place_only(
    payloads: list[bytes], place: int, other: int
) -> None:
    """The same bytes at any other offset are none."""
    data = bytes(other) + framed(payloads, place)
    found = [payload for _, payload in find_frames(data, TAG, 0, len(data))]
    assert found == (payloads if place == other else [])


@given(PAYLOADS, U64, U64, U64)
def test_a_frame_counts_in_its_own_segment_only(
    payloads: list[bytes], log_id: int, number: int, other: int
) -> None:
    """Neither in another segment of the log, nor in that segment of another log."""
    data = framed(payloads, 0)
    for tag in (tag_of(log_id, number), tag_of(log_id, other), tag_of(other, number)):
        assert tag, "zeros must not look like a tag"
        expected = payloads if tag == TAG else []
        assert [payload for _, payload in find_frames(data, tag, 0, len(data))] == expected


def flips(data: bytes) -> Iterator[bytes]:
    """Give copies of ``data`` with each bit flipped once."""
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        yield bytes(damaged)


def test_any_flipped_bit_makes_a_frame_invalid() -> None:
    """And the frames around it are found all the same."""
    payloads = [b"before", b"\2 the one that is hit \0\0", b"after"]
    data = framed(payloads, 0)
    start, end = FRAME_SIZE + len(payloads[0]), len(data) - FRAME_SIZE - len(payloads[2])
    for middle in flips(data[start:end]):
        damaged = data[:start] + middle + data[end:]
        found = [payload for _, payload in find_frames(damaged, TAG, 0, len(damaged))]
        assert found == [payloads[0], payloads[2]]
        assert len(list(read_frames(damaged, TAG, 0, len(damaged)))) == 1


def test_a_frame_without_a_record_is_none() -> None:
    """Its checksum would be right; but nobody writes such a thing, and no reader expects it."""
    empty = frame(b"", TAG, 0)
    assert list(read_frames(empty, TAG, 0, len(empty))) == []


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(1, 255))
def test_only_zeros_are_blank(before: int, zeros: int, after: int, other: int) -> None:
    """Between the two limits, whatever is outside."""
    noise = bytes([other])
    data = noise * before + bytes(zeros) + noise * after
    assert is_blank(data, before, before + zeros)
    assert not is_blank(data, before, before + zeros + 1)
    if before:
        assert not is_blank(data, before - 1, before + zeros)


# -- headers --------------------------------------------------------------------------------------


@given(HEADERS, st.binary(max_size=10))
def test_a_header_comes_back(header: Header, behind: bytes) -> None:
    """All of it, whatever follows."""
    data = pack_header(header)
    assert len(data) == HEADER_SIZE
    assert unpack_header(data + behind) == header


@given(HEADERS)
def test_any_flipped_bit_of_a_header_is_noticed(header: Header) -> None:
    """Also in the version: damage does not look like the file of a newer daemon."""
    for damaged in flips(pack_header(header)):
        with pytest.raises(HeaderError) as caught:
            unpack_header(damaged)
        assert not isinstance(caught.value, ForeignError)


@given(st.binary(max_size=100))
def test_no_junk_is_a_header(data: bytes) -> None:
    """However much of it there is."""
    with pytest.raises(HeaderError):
        unpack_header(data)


@given(HEADERS)
def test_a_part_of_a_header_is_none(header: Header) -> None:
    """However little is missing."""
    for size in range(HEADER_SIZE):
        with pytest.raises(HeaderError, match="too short"):
            unpack_header(pack_header(header)[:size])


@given(HEADERS, st.integers(FORMAT_VERSION + 1, 2**32 - 1))
def test_a_newer_version_is_called_so(header: Header, version: int) -> None:
    """As long as the checksum is right; an older one than the first is damage."""
    for number, expected in ((version, ForeignError), (0, HeaderError)):
        data = MAGIC + number.to_bytes(4, "little") + pack_header(header)[12:-4]
        data += crc32(data).to_bytes(4, "little")
        with pytest.raises(HeaderError) as caught:
            unpack_header(data)
        assert type(caught.value) is expected
        assert (str(version) in str(caught.value)) == (expected is ForeignError)
