"""By which name others can import the program that runs, and which is ``__main__`` to itself."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


def importable_name(module: str, path: str) -> str:
    """Return the name by which others import ``module``, which is the program that runs.

    ``path`` is for the error. Raises ValueError.
    """
    main = sys.modules.get(module)
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.module
        return str(spec.name)
    file = getattr(main, "__file__", None)
    if file is not None and _is_importable(Path(file)):
        return Path(file).stem
    raise ValueError(
        f"{path} is in {module}, which no worker can import: put it into a module, or give it a"
        " name that workers know with name="
    )


def _is_importable(file: Path) -> bool:
    """Tell whether ``import NAME`` would find this script: it does if workers start beside it."""
    if not file.stem.isidentifier():
        return False
    try:
        spec = find_spec(file.stem)
        return spec is not None and spec.origin is not None and file.samefile(spec.origin)
    except (ImportError, OSError, ValueError):
        return False
