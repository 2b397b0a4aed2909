"""Directories for logs: a real one whose syncs do not wait for the disk, and one in memory."""

from __future__ import annotations

from pathlib import Path

from stalkd.journal.files import Directory, File


class QuickFile(File):
    """A real file, of which nobody asks whether it is on the disk."""

    def sync(self) -> None:
        pass


class QuickDirectory(Directory):
    """A real directory, of which nobody asks whether it is on the disk."""

    def create(self, name: str) -> File:
        return QuickFile(self.path / name)

    def reopen(self, name: str) -> File:
        return QuickFile(self.path / name, is_new=False)

    def sync_file(self, name: str) -> None:
        pass

    def sync(self) -> None:
        pass

    def stored(self) -> int:
        """Bytes of all files, as the system says."""
        return sum(self.size(name) for name in self.names())


class ImageFile(File):
    """A file of an ``Image``."""

    def __init__(self, image: Image, name: str, *, is_new: bool = True) -> None:
        self.name = name
        self._image = image
        if is_new:
            image.files[name] = bytearray()
        self._content = image.files[name]
        self.allocated = len(self._content)

    def write(self, data: bytes, offset: int) -> None:
        self._extend(offset)
        self._content[offset : offset + len(data)] = data

    def _extend(self, size: int) -> None:
        self._content += bytes(max(size - len(self._content), 0))

    def allocate(self, size: int) -> None:
        if size > self.allocated:
            self.allocated = size
            self._extend(size)

    def truncate(self, size: int) -> None:
        self.allocated = size
        del self._content[size:]
        self._extend(size)

    def sync(self) -> None:
        pass

    def is_there(self) -> bool:
        return self._image.files.get(self.name) is self._content

    def close(self) -> None:
        pass


class Image(QuickDirectory):
    """A directory in memory; ``files`` are the contents by name."""

    def __init__(self, files: dict[str, bytearray] | None = None) -> None:
        self.path = Path("/image")
        self.files = files if files is not None else {}

    def copy(self) -> Image:
        """An equal one, to be damaged."""
        return Image({name: bytearray(content) for name, content in self.files.items()})

    def names(self) -> list[str]:
        return list(self.files)

    def create(self, name: str) -> File:
        if name in self.files:
            raise FileExistsError(17, "File exists", name)
        return ImageFile(self, name)

    def reopen(self, name: str) -> File:
        return ImageFile(self, name, is_new=False)

    def read(self, name: str) -> bytes:
        return bytes(self._find(name))

    def read_start(self, name: str, size: int) -> bytes:
        return bytes(self._find(name)[:size])

    def size(self, name: str) -> int:
        return len(self._find(name))

    def remove(self, name: str) -> None:
        self._find(name)
        del self.files[name]

    def close(self) -> None:
        pass

    def _find(self, name: str) -> bytearray:
        if name not in self.files:
            raise FileNotFoundError(2, "No such file or directory", name)
        return self.files[name]
