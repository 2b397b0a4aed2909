"""``make torture ROUNDS=100``: as many rounds as you like; everything is said with its seed.

Where strace is at hand, the disk has faults in every third round.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from torture.faults import FAULTS, now_and_then
from torture.rounds import Torture

SEED_BITS = 32

FAULTY = 3
"""One of so many rounds is on a disk that fails now and then."""


def say(text: str) -> None:
    """Print at once: whoever watches wants to see it move."""
    print(text, flush=True)  # noqa: T201 - a script


def fault(seed: int, number: int) -> str:
    """What happens to the disk in a round; nothing in most."""
    if number % FAULTY or shutil.which("strace") is None:
        return ""
    rng = Random(f"{seed}/{number}/fault")
    return now_and_then(rng.choice(FAULTS), rng)


def main() -> None:
    """Torture a new log; it is left where it is if something is lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=secrets.randbits(SEED_BITS))
    parser.add_argument("--dir", type=Path, help="on which disk; default: where temporary files go")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="stalkd-torture-", dir=options.dir))
    torture = Torture(directory, options.seed, say)
    began = time.monotonic()
    try:
        for number in range(1, options.rounds + 1):
            torture.round(number, fault=fault(options.seed, number))
        torture.finish()
    except AssertionError as error:
        say(f"FAILED with seed {options.seed}; the log is in {directory}\n{error}")
        sys.exit(1)
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    seconds = time.monotonic() - began
    say(f"{options.rounds} rounds, {torture.answers} answers, {seconds:.0f} s: nothing is lost")


main()
