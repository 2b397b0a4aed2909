"""From bytes to commands: finds lines and bodies in the input and runs what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stalkd.protocol import extended, replies
from stalkd.protocol.arguments import BadFormat
from stalkd.protocol.commands import BARE, WITH_ARGUMENTS, end_session, pause_tube
from stalkd.protocol.limits import COMMANDS_PER_RUN, MAX_LINE, MAX_LONG_LINE
from stalkd.protocol.puts import put, resume
from stalkd.protocol.putwith import put_with

if TYPE_CHECKING:
    from stalkd.protocol.session import Session

TOO_LONG: Final = -1
INCOMPLETE: Final = -2

_LONG: Final = tuple(name + b" " for name in extended.NAMES)

ALONE: Final = BARE | extended.BARE
"""All commands that stand alone on their line."""

_WITH_ARGUMENTS: Final = WITH_ARGUMENTS | extended.WITH_ARGUMENTS

_FAMILIES: Final = (
    *(b"peek-ready", b"peek-delayed", b"peek-buried"),
    *(b"reserve", b"stats", b"list-tube-used", b"list-tubes"),
)
"""beanstalkd finds commands by prefix: with something behind them these are known, but wrong."""


def run(session: Session, data: bytes, now: int) -> None:
    """Run the complete commands in the session's backlog and ``data``.

    Goes on until a command is incomplete, the session is stopped, or it has had its turn
    (COMMANDS_PER_RUN, or what this round still allows); what is left becomes its backlog, and after
    its turn it is queued for the next.
    """
    if session.stopped:
        session.backlog += data
        return
    if session.backlog:
        data = session.backlog + data
    unfinished = session.body is not None or session.overlong
    position = _go_on(session, data, now) if unfinished else 0
    end = len(data)
    shared = session.shared
    allowed = shared.allowance
    turn = left = COMMANDS_PER_RUN if allowed > COMMANDS_PER_RUN else allowed  # noqa: FURB136 - fast
    while position < end and left > 0 and not session.stopped:
        line_end = data.find(b"\r\n", position, position + MAX_LINE)
        if line_end < 0:
            line_end = _end_of_long_line(data, position)
            if line_end == INCOMPLETE:
                break
            if line_end == TOO_LONG:
                position = _drop_line(session, data, position)
                continue
        left -= 1
        start, position = position, line_end + 2
        try:
            if data.startswith(b"put ", start):
                position = put(session, data[start + 4 : line_end], data, position, now)
            else:
                position = _run_line(session, data, start, line_end, now)
        except BadFormat:
            _refuse(session, replies.BAD_FORMAT)
    shared.allowance = allowed - turn + left
    session.backlog = data[position:] if position < end else b""
    if (left <= 0 or session.input_ended) and not session.stopped:
        _rest(session, left)


def _end_of_long_line(data: bytes, position: int) -> int:
    """Return where a line ends that is not within Beanstalk's limit; or INCOMPLETE or TOO_LONG."""
    size = len(data) - position
    if size < MAX_LINE:
        return INCOMPLETE
    if not data.startswith(_LONG, position):
        return TOO_LONG
    line_end = data.find(b"\r\n", position, position + MAX_LONG_LINE)
    if line_end >= 0:
        return line_end
    return INCOMPLETE if size < MAX_LONG_LINE else TOO_LONG


def _rest(session: Session, left: int) -> None:
    """Decide how a session goes on that nothing stops, with so much of its turn left."""
    if left <= 0 and session.backlog:
        session.queue()
    elif session.input_ended:
        session.closing = session.stopped = True


def _go_on(session: Session, data: bytes, now: int) -> int:
    """Finish what earlier input left unfinished; return where the next command begins."""
    if session.body is not None:
        return resume(session, session.body, data, 0, now)
    if session.overlong:
        return _drop_line(session, data, 0)
    return 0


def _drop_line(session: Session, data: bytes, position: int) -> int:
    """Drop a line that is too long up to its CR LF, which costs one BAD_FORMAT.

    If its end has not come yet, all is dropped but a CR, which may be half of it.
    """
    line_end = data.find(b"\r\n", position)
    session.overlong = line_end < 0
    if session.overlong:
        return len(data) - data.endswith(b"\r")
    _refuse(session, replies.BAD_FORMAT)
    return line_end + 2


def _refuse(session: Session, reply: bytes) -> None:
    session.bad_lines += 1
    session.reply(reply)


def _run_line(session: Session, data: bytes, start: int, end: int, now: int) -> int:
    """Run any command but put; return where the bytes used end."""
    line = data[start:end]
    command = ALONE.get(line)
    if command is not None:
        command(session, b"", now)
        return end + 2
    name, space, args = line.partition(b" ")
    command = _WITH_ARGUMENTS.get(name)
    if command is not None and space:
        command(session, args, now)
    elif name == b"put-with" and space:
        return put_with(session, args, data, end + 2, now)
    else:
        _run_odd_line(session, line, now)
    return end + 2


def _run_odd_line(session: Session, line: bytes, now: int) -> None:
    """Run a line that is in neither table, by beanstalkd's rules of prefixes."""
    if b"\0" in line or b"\r" in line:
        raise BadFormat
    if line.startswith(b"pause-tube"):
        pause_tube(session, line.removeprefix(b"pause-tube"), now)
    elif line.startswith(b"quit"):
        end_session(session, b"", now)
    elif line.startswith(_FAMILIES):
        raise BadFormat
    else:
        _refuse(session, replies.UNKNOWN_COMMAND)
