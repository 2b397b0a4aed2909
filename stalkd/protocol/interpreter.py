"""From bytes to commands: finds lines and bodies in the input and runs what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stalkd.protocol import replies
from stalkd.protocol.arguments import BadFormat
from stalkd.protocol.commands import BARE, WITH_ARGUMENTS, end_session, pause_tube
from stalkd.protocol.limits import MAX_LINE
from stalkd.protocol.puts import put, resume

if TYPE_CHECKING:
    from stalkd.protocol.session import Session

_FAMILIES: Final = (
    *(b"peek-ready", b"peek-delayed", b"peek-buried"),
    *(b"reserve", b"stats", b"list-tube-used", b"list-tubes"),
)
"""beanstalkd finds commands by prefix: with something behind them these are known, but wrong."""


def run(session: Session, data: bytes, now: int) -> None:
    """Run every complete command in the session's backlog and ``data``.

    Goes on until a command is incomplete, or the session is stopped; what is left becomes its
    backlog. Each piece of input is looked at once, however small the pieces are.
    """
    if session.backlog:
        data = session.backlog + data
    position = 0
    end = len(data)
    while position < end and not session.stopped:
        if session.body is not None:
            position = resume(session, session.body, data, position, now)
            continue
        line_end = data.find(b"\r\n", position, position + MAX_LINE)
        if line_end < 0 or session.overlong:
            position, complete = _drop_overlong(session, data, position)
            if complete:
                continue
            break
        line = data[position:line_end]
        try:
            if line.startswith(b"put "):
                position = put(session, line[4:], data, line_end + 2, now)
            else:
                position = line_end + 2
                _run_line(session, line, now)
        except BadFormat:
            position = line_end + 2
            session.bad_lines += 1
            session.reply(replies.BAD_FORMAT)
    session.backlog = data[position:]
    if session.input_ended and not session.stopped:
        session.closing = session.stopped = True


def _run_line(session: Session, line: bytes, now: int) -> None:
    command = BARE.get(line)
    if command is not None:
        command(session, b"", now)
        return
    name, space, args = line.partition(b" ")
    command = WITH_ARGUMENTS.get(name)
    if command is not None and space:
        command(session, args, now)
    else:
        _run_odd_line(session, line, now)


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
        session.bad_lines += 1
        session.reply(replies.UNKNOWN_COMMAND)


def _drop_overlong(session: Session, data: bytes, position: int) -> tuple[int, bool]:
    """Handle a line without end so far: return the new position and whether its end was found.

    A line that is still short enough is left alone. From a longer one everything is dropped up
    to its CR LF, and that costs one BAD_FORMAT.
    """
    if not session.overlong and len(data) - position < MAX_LINE:
        return position, False
    line_end = data.find(b"\r\n", position)
    session.overlong = line_end < 0
    if line_end < 0:
        return len(data) - data.endswith(b"\r"), False
    session.bad_lines += 1
    session.reply(replies.BAD_FORMAT)
    return line_end + 2, True
