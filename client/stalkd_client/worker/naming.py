"""By which names other processes find handlers and exceptions of this program."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, Final

MAIN: Final = "__main__"

HINT: Final = "put it at the top of a module or of a script, and name it there"


def split_file(spec: str) -> tuple[str, str]:
    """Return file and path of ``path/to/file.py:name``; twice nothing if no file is named."""
    if spec.endswith(".py"):
        return spec, ""
    file, _, path = spec.rpartition(":")
    return (file, path) if file.endswith(".py") else ("", "")


def split(spec: str) -> tuple[str, str]:
    """Return module, or file of Python, and path of ``module:path``; the path may be empty."""
    file, path = split_file(spec)
    if file:
        return file, path
    module, _, path = spec.partition(":")
    return module, path


def handler_name(handler: Any) -> str:
    """Return the name by which a worker finds a function, a class or a task; a name stays.

    Raises ValueError if no other process can find it.
    """
    if isinstance(handler, str):
        return handler
    module, path = _names_of(handler)
    _check_reach(handler, module, path)
    if module == MAIN:
        module = _main(path)
    return f"{module}:{path}"


def error_name(kind: type[BaseException] | str) -> str:
    """Return the name by which a worker finds the class of an exception; a name stays.

    Raises ValueError if no other process can find it.
    """
    if isinstance(kind, str):
        return kind
    module, path = kind.__module__, kind.__qualname__
    if "." in path:
        raise ValueError(f"no worker finds the exception {module}.{path}: {HINT}")
    if module == "builtins":
        return path
    if module == MAIN:
        module = _main(path)
    return f"{Path(module).stem if module.endswith('.py') else module}.{path}"


def directory() -> str:
    """Return where the script lies that runs, as Python searches there first; or nothing."""
    is_module = getattr(sys.modules[MAIN], "__spec__", None) is not None
    return str(Path(_script()).parent) if not is_module and _script() else ""


def _names_of(handler: Any) -> tuple[str, str]:
    module, path = (getattr(handler, each, None) for each in ("__module__", "__qualname__"))
    if not (module and path):
        raise ValueError(
            f"no worker finds {handler!r}, as it has no name of its own: pass a function, a class,"
            " or a name, 'module:object'"
        )
    return str(module), str(path)


def _check_reach(handler: Any, module: str, path: str) -> None:
    if inspect.ismethod(handler) and not inspect.isclass(handler.__self__):
        raise ValueError(
            f"no worker finds the object of the method {path}: pass a class with message_handler"
        )
    if "<" in path:
        raise ValueError(f"no worker finds {module}.{path}, a lambda or inside a function: {HINT}")
    code = getattr(inspect.unwrap(handler), "__code__", None)
    if module == MAIN and code is not None and code.co_filename.startswith("<"):
        raise _interactive(path)


def _script() -> str:
    """Return the file of the program, nothing if it has none."""
    file = getattr(sys.modules[MAIN], "__file__", None)
    return str(Path(file).resolve()) if file and Path(file).is_file() else ""


def _main(path: str) -> str:
    """Return the file of the script that runs, or the module that ``python -m`` runs."""
    spec = getattr(sys.modules[MAIN], "__spec__", None)
    if spec is not None:
        return str(spec.name)
    script = _script()
    if not script:
        raise _interactive(path)
    if not script.endswith(".py"):
        raise ValueError(
            f"no worker finds {path} in {script}: the name of its file must end in .py"
        )
    return script


def _interactive(path: str) -> ValueError:
    return ValueError(f"no worker finds {path}, which was typed into an interpreter: {HINT}")
