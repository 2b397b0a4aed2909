"""What is no time is refused when the worker is started, not when it is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from stalkd_client.worker.cli import stalk_worker

OPTIONS = [
    *("--retry-delay", "--max-delay", "--time-limit", "--soft-time-limit"),
    *("--max-age", "--grace", "--idle-exit"),
]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "-1", "soon"])
def test_what_is_no_time_is_refused(option: str, value: str) -> None:
    done = CliRunner().invoke(stalk_worker, ["-q", "a", f"{option}={value}", "work:double"])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.output


def test_neither_is_it_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text('retry-delay = nan\n[[stage]]\nqueue = "a"\nhandler = "work:double"\n')
    done = CliRunner().invoke(stalk_worker, [str(file)])
    assert done.exit_code == 2
    assert "pipeline.toml: Invalid value for '--retry-delay': 'nan'" in done.output
