"""The process that imports a Python file, which is its argument.

It tells on its stdout, as JSON, which stages there are.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from stalkd_client.tasks.function import Task
from stalkd_client.worker.declaring import declared_of
from stalkd_client.worker.inside.blame import reason_of, traceback_of
from stalkd_client.worker.inside.files import load_module, search_in
from stalkd_client.worker.inside.guesses import member_of
from stalkd_client.worker.inside.handlers import BadHandlerError
from stalkd_client.worker.stages import Pipeline


def main(file: str) -> None:
    """Import the file; what it prints meanwhile is not taken for the answer."""
    answer = os.dup(1)
    os.dup2(2, 1)
    try:
        told = describe(file)
    except BaseException as error:  # noqa: BLE001 - also SystemExit of the file
        told = {"error": reason_of(error), "traceback": traceback_of(error)}
    os.write(answer, json.dumps(told).encode())
    os._exit(0)  # Whatever threads the file has started.


def describe(file: str) -> dict[str, Any]:
    """Return the pipeline of a file, as a TOML file would have it.

    Raises BadHandlerError, and whatever the file raises.
    """
    search_in(str(Path(file).resolve().parent))
    module = load_module(file)
    found = {name: each for name, each in vars(module).items() if isinstance(each, Pipeline)}
    if len(found) > 1:
        raise BadHandlerError(f"there are several pipelines, {', '.join(found)}: leave one")
    if found:
        (pipeline,) = found.values()
        return pipeline.members()
    stages = _declared_stages(module)
    if not stages:
        raise BadHandlerError(
            "there is no Pipeline, no @handler(queue=...), and no @task; one function of it is"
            f" named as in {member_of(module, file, 'handle')}"
        )
    return {"stage": stages}


def _declared_stages(module: ModuleType) -> list[dict[str, Any]]:
    """Return a stage for each handler that has told its queue, and one for all tasks."""
    members = vars(module)
    handlers = {id(each): name for name, each in reversed(members.items()) if _is_handler(each)}
    stages = [{"handler": f"{module.__name__}:{name}"} for name in reversed(handlers.values())]
    if any(isinstance(each, Task) and each.function for each in members.values()):
        stages.append({"handler": f"{module.__name__}:*"})
    return stages


def _is_handler(value: object) -> bool:
    is_code = inspect.isfunction(value) or inspect.isclass(value)
    return is_code and bool(declared_of(value).queue)


if __name__ == "__main__":
    main(sys.argv[1])
