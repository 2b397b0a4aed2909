"""A copy of what is left of a damaged log has terms and policies, too."""

from __future__ import annotations

from stalkd.broker.broker import Broker
from stalkd.broker.check import check
from stalkd.journal.frames import HEADER_SIZE, find_frames, tag_of, unpack_header
from stalkd.journal.limits import LEAST_SEGMENT
from stalkd.journal.options import LogOptions
from stalkd.journal.records import DELETE
from stalkd.journal.salvage import Salvage
from stalkd.journal.segment import segment_name
from support.directories import Image
from support.journal import EPOCH, LogCore
from support.view import view


def salvaged(image: Image) -> LogCore:
    """Copy a log, and start on the copy."""
    broker, target = Broker(), Image()
    salvage = Salvage(image, broker, 0, EPOCH)
    salvage.read()
    check(broker)
    expected = view(broker, EPOCH, EPOCH)
    salvage.write(target, LogOptions(LEAST_SEGMENT, 0))
    core = LogCore(target)
    core.check()
    assert core.view() == expected
    return core


def test_terms_and_policies_are_copied() -> None:
    image = Image()
    core = LogCore(image)
    session = core.connect()
    core.send(session, b"set-policy empty rate=2\r\nset-policy a attempts=3 dead=b ttl=60\r\n")
    core.send(session, b"put-with 5 1.5 2.5 1 tube=a key=k attempts=2 dead=c\r\nx\r\n")
    core.send(session, b"put-with 5 0 9 1 attempts=1 dead=a\r\ny\r\n")
    core.send(session, b"reserve-job 2\r\nrelease 2 0 0\r\nmove-jobs a delayed d 1\r\n")
    expected = core.view()
    core.close()
    assert salvaged(image).view() == expected


def test_of_two_jobs_with_a_key_one_keeps_it() -> None:
    """If nothing tells any more that the older one was deleted, both come back."""
    image = Image()
    core = LogCore(image)
    session = core.connect()
    put = b"put-with 0 0 9 0 key=k\r\n\r\n"
    core.send(session, put + b"delete 1\r\n" + put)
    name, number = segment_name(core.log.writer.number), core.log.writer.number
    core.close()
    data = image.read(name)
    tag = tag_of(unpack_header(data).log_id, number)
    frames = find_frames(data, tag, HEADER_SIZE, len(data))
    [deleted] = [start for start, payload in frames if payload[0] == DELETE]
    image.files[name][deleted] ^= 1
    core = salvaged(image)
    session = core.connect()
    assert core.ask(session, put) == b"EXISTS 1\r\n"
    assert core.ask(session, b"delete 1\r\ndelete 2\r\n") == b"DELETED\r\n" * 2
    core.check()
