"""What a queue puts into jobs, and how it reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stalkd_client.spill import SpillError, is_reference

if TYPE_CHECKING:
    from stalkd_client.codecs import Codec
    from stalkd_client.spill import Spill


class Bodies:
    """Turns values into bodies and back, through files where bodies are too large.

    ``limit`` asks for the largest body that the server takes; it is asked for once, if at all.
    """

    def __init__(self, codec: Codec, spill: Spill | None, limit: Callable[[], int]) -> None:
        self.codec = codec
        self.spill = spill
        self._ask = limit
        self._limit: int | None = None

    @property
    def limit(self) -> int:
        """The largest body that the server takes, in bytes."""
        if self._limit is None:
            self._limit = self._ask()
        return self._limit

    def dumps(self, value: object) -> bytes:
        """Return the body for a value. Raises TypeError, ValueError, OSError."""
        body = self.codec.dumps(value)
        if self.spill is not None and self.spill.must_park(body, self.limit):
            return self.spill.park(body)
        return body

    def whole(self, body: bytes) -> bytes:
        """Return a body, from its file if it was parked. Raises SpillError."""
        if self.spill is not None:
            return self.spill.fetch(body)
        if is_reference(body):
            raise SpillError(
                "the body of this job was parked in a file: whoever reads it needs the queue's"
                " directory, as spill=DIR"
            )
        return body

    def loads(self, body: bytes) -> Any:  # noqa: ANN401 - whatever was put
        """Return the value of a body. Raises ValueError."""
        return self.codec.loads(self.whole(body))

    def forget(self, body: bytes) -> None:
        """A body is not needed any more."""
        if self.spill is not None:
            self.spill.forget(body)
