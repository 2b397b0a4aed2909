"""The wheel and the source archive hold what they should, and are the same bytes each time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from stalkd import __version__

ROOT = Path(__file__).resolve().parents[2]
FETCH_S = 240

IGNORED = shutil.ignore_patterns(
    ".git", ".venv", "dist", "__pycache__", "node_modules", ".*_cache", ".hypothesis"
)


class Built(NamedTuple):
    wheel: Path
    sdist: Path


def build(tree: Path, into: Path) -> Built:
    subprocess.run(
        [sys.executable, "-P", "-m", "hatchling", "build", "-d", str(into)],
        check=True,
        cwd=tree,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1600000000"},
        capture_output=True,
    )
    (wheel,), (sdist,) = into.glob("*.whl"), into.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(ROOT, tmp_path_factory.mktemp("built"))


def within(sdist: Path) -> dict[str, bytes]:
    """The files of a source archive, by name without the folder that holds all."""
    with tarfile.open(sdist) as archive:
        files = {each.name: archive.extractfile(each) for each in archive if each.isfile()}
        return {name.partition("/")[2]: file.read() for name, file in files.items() if file}


@contextmanager
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def test_the_wheel_has_the_packages_and_nothing_else(built: Built) -> None:
    """No tests; the manual pages, the completions and the licence; the marker of types."""
    modules = {
        path.relative_to(top).as_posix(): path
        for top, package in ((ROOT, "stalkd"), (ROOT / "client", "stalkd_client"))
        for path in (top / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in modules} <= {".py", ".typed"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    prefix = f"stalkd-{__version__}"
    data = {f"{prefix}.data/data/{to}": ROOT / name for name, to in shared.items()}
    about = {"METADATA", "WHEEL", "entry_points.txt", "licenses/LICENSE", "RECORD"}
    with zipfile.ZipFile(built.wheel) as wheel:
        names = wheel.namelist()
        for name, path in (modules | data).items():
            assert wheel.read(name) == path.read_bytes(), name
    assert "stalkd_client/py.typed" in names
    assert sorted(names) == sorted(
        [*modules, *data, *(f"{prefix}.dist-info/{each}" for each in about)]
    )


def test_all_pages_and_completions_are_shipped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    for folder in ("man", "completions"):
        there = {each.relative_to(ROOT).as_posix() for each in (ROOT / folder).iterdir()}
        assert there == {name for name in shared if name.startswith(f"{folder}/")}


@pytest.mark.needs("git")
def test_the_source_archive_has_what_is_in_the_repository(built: Built) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone of the repository")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(listing, cwd=ROOT, text=True).split("\0")
    there = {name for name in names if name and (ROOT / name).exists()}
    assert set(within(built.sdist)) == there | {"PKG-INFO"}


def test_another_build_gives_the_same_bytes(built: Built, tmp_path: Path) -> None:
    """Whatever the times and rights of the files, and whoever builds."""
    copy = tmp_path / "copy"
    with strict_umask():
        shutil.copytree(ROOT, copy, ignore=IGNORED, copy_function=shutil.copyfile)
        if (ROOT / ".ci" / "run").exists():
            (copy / ".ci" / "run").chmod(0o700)
        again = build(copy, tmp_path / "again")
    assert again.wheel.read_bytes() == built.wheel.read_bytes()
    assert again.sdist.read_bytes() == built.sdist.read_bytes()


def test_the_source_archive_makes_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    again = build(tmp_path / f"stalkd-{__version__}", tmp_path / "again")
    assert again.wheel.read_bytes() == built.wheel.read_bytes()


@pytest.mark.timeout(FETCH_S + 60)
def test_pip_installs_it_with_no_more_than_it_needs(built: Built, tmp_path: Path) -> None:
    """Without the extras: what is installed runs, and its pages and completions are in place."""
    subprocess.run([sys.executable, "-P", "-m", "venv", str(tmp_path / "venv")], check=True)
    programs = tmp_path / "venv" / "bin"
    pip = [str(programs / "python"), "-P", "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "install", "--quiet", str(built.wheel)],
        check=False,
        capture_output=True,
        text=True,
        timeout=FETCH_S,
    )
    if done.returncode and os.environ.get("CI") != "true":
        pytest.skip(f"pip cannot bring the packages: {done.stderr.splitlines()[-1:]}")
    assert done.returncode == 0, done.stderr
    listing = json.loads(subprocess.check_output([*pip, "list", "--format=json"]))
    assert {each["name"] for each in listing} - {"pip", "setuptools"} == {
        *("stalkd", "click", "trio"),
        *("attrs", "idna", "outcome", "sniffio", "sortedcontainers"),  # trio's
    }
    for name, option in (("stalkd", "-v"), ("stalk", "--version"), ("stalk-worker", "-v")):
        told = subprocess.check_output([programs / name, option], text=True)
        assert told == f"{name} {__version__}\n"
    share = tmp_path / "venv" / "share"
    for each in ("man/man1/stalkd.1", "bash-completion/completions/stalk"):
        assert (share / each).exists()
