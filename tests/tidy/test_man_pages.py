"""The manual pages are well formed, and the wheel carries them all."""

import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "man").glob("*.[0-9]"))


def name(path: Path) -> str:
    return path.name


each_page = pytest.mark.parametrize("page", PAGES, ids=name)


@pytest.mark.needs("mandoc")
@each_page
def test_mandoc_finds_no_fault(page: Path) -> None:
    lint = subprocess.run(
        ["mandoc", "-Tlint", "-W", "warning", str(page)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (lint.returncode, lint.stdout) == (0, "")


def test_wheel_carries_the_pages() -> None:
    prefix = Path(sysconfig.get_path("data"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    pages = {page: target for page, target in shared.items() if page.startswith("man/")}
    assert pages == {
        f"man/{page.name}": f"share/man/man{page.suffix.removeprefix('.')}/{page.name}"
        for page in PAGES
    }
    for page, target in pages.items():
        assert (prefix / target).read_bytes() == (ROOT / page).read_bytes()
