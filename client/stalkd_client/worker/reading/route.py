"""Where jobs with an error go, as the command line says it."""

from __future__ import annotations

from stalkd_client.arguments import check_numbers, check_tube


def route_of(text: str) -> tuple[str, str, float]:
    """Read ``EXC=QUEUE[:S]``: an exception's name, a queue, seconds. Raises ValueError."""
    name, _, rest = text.partition("=")
    queue, _, delay = rest.partition(":")
    if not (name and queue):
        missing = "queue" if name else "exception"
        raise ValueError(f"--on-error {text!r} names no {missing}: it is EXC=QUEUE[:S]")
    check_tube(queue)
    try:
        seconds = float(delay or 0)
    except ValueError:
        raise ValueError(f"{text!r}: {delay!r} is no number of seconds") from None
    check_numbers(delay=seconds)
    return name, queue, seconds
