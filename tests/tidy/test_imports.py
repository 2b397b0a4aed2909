"""What the import rules in pyproject.toml cannot say, because it shows only at run time."""

import subprocess
import sys


def test_command_line_loads_without_trio() -> None:
    """Loading trio takes longer than a client should wait for the socket to be bound."""
    code = "import sys, stalkd.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    assert "stalkd.cli" in loaded
    assert "trio" not in loaded


def test_library_loads_without_its_worker() -> None:
    code = "import sys, stalkd_client; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    assert "stalkd_client.tasks" in loaded
    assert not [name for name in loaded if name.startswith(("stalkd_client.worker", "click"))]


def test_who_serves_queues_loads_nothing_of_stdin() -> None:
    code = "import sys, stalkd_client.worker.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    assert "stalkd_client.worker.supervisor" in loaded
    unwanted = {"once", "lines", "linesupply", "splitting", "written", "bar"}
    assert not {f"stalkd_client.worker.{each}" for each in unwanted} & set(loaded)


def test_handlers_load_no_more_than_they_need() -> None:
    code = "import sys, stalkd_client.worker; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    assert not {"click", "trio", "asyncio", "stalkd_client.worker.slots.slot"} & set(loaded)
