"""The jobs of a load: their put requests, all built before anything is measured."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

# One fixed seed, so that both servers of a pair get the same bytes.
SEED = 20_240_607

# Digits that open every body and make it unlike every other one.
_SERIAL_DIGITS = 12
# Bodies are cut from this. It holds no line end, because the load generator
# counts line ends to know when a reply is complete.
_FILLER = b"abcdefghijklmnopqrstuvwxyz" * 8

_U32_MAX = 4_294_967_295


@dataclass(frozen=True)
class Shape:
    """Limits, both inclusive, between which the jobs of a load vary."""

    sizes: tuple[int, int]  # bytes of body
    priorities: tuple[int, int]
    ttrs: tuple[int, int]  # seconds; far above the length of any run, so none expires


FIXED = Shape(sizes=(100, 100), priorities=(0, 0), ttrs=(600, 600))
# Hardly two put lines alike, so that a server gains nothing by remembering parsed lines.
VARIED = Shape(sizes=(60, 140), priorities=(0, _U32_MAX), ttrs=(600, 7200))
# Bodies of one size, so that bytes of memory per job can be compared.
VARIED_PRIORITIES = Shape(sizes=(100, 100), priorities=(0, _U32_MAX), ttrs=(600, 7200))


Requests = Callable[[int, Shape], Iterator[bytes]]


def puts(count: int, shape: Shape) -> Iterator[bytes]:
    """`count` put requests whose bodies are all different."""
    pick = random.Random(SEED)
    for serial in range(count):
        size = pick.randint(*shape.sizes)
        priority, ttr = pick.randint(*shape.priorities), pick.randint(*shape.ttrs)
        body = b"%0*d%s" % (_SERIAL_DIGITS, serial, _FILLER[: size - _SERIAL_DIGITS])
        yield b"put %d 0 %d %d\r\n%s\r\n" % (priority, ttr, size, body)


def batches(requests: Iterable[bytes], window: int) -> Iterator[bytes]:
    """The requests joined in groups of `window`, each to be sent with one call."""
    source = iter(requests)
    while group := b"".join(islice(source, window)):
        yield group
