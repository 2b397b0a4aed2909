"""The real files, where the system does not do as asked."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stalkd.journal.files import CANNOT_ALLOCATE, File


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_space_that_is_refused_costs_nothing_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it was written beyond the space that was had before."""
    file = File(tmp_path / "some")
    file.allocate(10)
    file.write(b"x" * 20, 0)
    monkeypatch.setattr(os, "posix_fallocate", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        file.allocate(100)
    file.close()
    assert (tmp_path / "some").read_bytes() == b"x" * 20


def test_what_was_had_of_refused_space_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system without fallocate writes zeros until the disk is full."""
    file = File(tmp_path / "some")
    file.allocate(10)

    def half(fd: int, offset: int, size: int) -> None:
        os.pwrite(fd, bytes(size // 2), offset)
        failing(errno.ENOSPC)()

    monkeypatch.setattr(os, "posix_fallocate", half)
    with pytest.raises(OSError, match="No space"):
        file.allocate(100)
    file.close()
    assert (tmp_path / "some").stat().st_size == 10


@pytest.mark.parametrize("code", sorted(CANNOT_ALLOCATE))
def test_a_file_system_that_cannot_reserve_is_good_enough(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", failing(code))
    file = File(tmp_path / "some")
    file.allocate(100)
    file.write(b"x", 0)
    file.close()
    assert file.allocated == 100
    assert (tmp_path / "some").read_bytes() == b"x"


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system may take less than it was given."""
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:3], at))
    file = File(tmp_path / "some")
    file.write(b"0123456789", 2)
    file.close()
    assert (tmp_path / "some").read_bytes() == b"\0\0" + b"0123456789"
