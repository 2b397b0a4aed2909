"""Pushes jobs with one app, as it is told: `python producer.py APP`.

Each line of the input is `push FIRST COUNT`, one by one, or `push_many FIRST COUNT`, in one call.
Each is answered by a line of JSON: when it began, in ns of the monotonic clock, and how many
seconds it took. Before all of them a line tells whether the app has `push_many`.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable


def main() -> None:
    """Until the end of the input."""
    app = importlib.import_module(sys.argv[1])
    _say({"bulk": hasattr(app, "push_many")})
    for line in sys.stdin:
        name, first, count = line.split()
        numbers = list(range(int(first), int(first) + int(count)))
        began = time.monotonic_ns()
        if name == "push_many":
            app.push_many(numbers)
        else:
            _each(app.push, numbers)
        _say({"began": began, "seconds": (time.monotonic_ns() - began) / 1e9})


def _each(push: Callable[[int], object], numbers: list[int]) -> None:
    for number in numbers:
        push(number)


def _say(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
