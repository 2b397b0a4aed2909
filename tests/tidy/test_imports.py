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
