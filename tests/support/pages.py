"""Conversations as the manual pages show them: had with a server, and compared.

`P> put ...` is what the client P sends, `P< INSERTED 1` what it gets; line ends are written with
backslashes.
"""

import re

from support.core import Core

TIMES = re.compile(rb"(age|died): \d+\.\d{3}")


def unescaped(text: str) -> bytes:
    """Return the bytes that a page writes with backslashes."""
    return text.replace(r"\er", "\r").replace(r"\en", "\n").encode()


def lines_of(text: str, clients: str = "PWV") -> list[tuple[str, str, bytes]]:
    """Return who, in which direction, what."""
    found = re.findall(rf"^([{clients}])([<>]) (.*)$", text, re.MULTILINE)
    return [(name, arrow, unescaped(line)) for name, arrow, line in found]


def check_conversation(text: str, clients: str = "PWV") -> None:
    """A server that has just started says what is shown; clients hang up after their last line."""
    core = Core()
    sessions = {name: core.connect() for name in clients}
    told, said = dict.fromkeys(clients, b""), dict.fromkeys(clients, b"")
    lines = lines_of(text, clients)
    for index, (name, arrow, line) in enumerate(lines):
        if arrow == "<":
            told[name] += line
        else:
            said[name] += core.ask(sessions[name], line)
        if name not in {later for later, _, _ in lines[index + 1 :]}:
            said[name] += core.received(sessions[name])
            core.disconnect(sessions[name])
    for name, session in sessions.items():
        said[name] += core.received(session)
        assert TIMES.sub(rb"\1", said[name]) == TIMES.sub(rb"\1", told[name])
