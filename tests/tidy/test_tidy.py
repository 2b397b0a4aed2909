"""The project's own rules of style, enforced, so that nobody has to remember them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted([*(ROOT / "stalkd").rglob("*.py"), *(ROOT / "client").rglob("*.py")])
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").rglob("*.md")]
)

MAX_FUNCTION_LINES = 40  # one screen, docstring not counted
MAX_FILE_LINES = 400
MAX_METHODS = 25

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
Documented = Definition | ast.Module


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


each_module = pytest.mark.parametrize("path", MODULES, ids=short)
each_page = pytest.mark.parametrize("path", PAGES, ids=short)


@each_module
def test_functions_fit_on_a_screen(path: Path) -> None:
    long = [
        f"{node.name} (line {node.lineno}): {lines} lines"
        for node in nodes(path)
        if isinstance(node, Function)
        if (lines := body_lines(node)) > MAX_FUNCTION_LINES
    ]
    assert not long


@each_module
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES


@each_module
def test_classes_have_few_methods(path: Path) -> None:
    large = [
        f"{node.name} (line {node.lineno}): {methods} methods"
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
        if (methods := sum(is_function(part) for part in node.body)) > MAX_METHODS
    ]
    assert not large


@each_module
def test_public_things_have_docstrings(path: Path) -> None:
    bare = [name for name, node in public(ast.parse(path.read_text())) if not doc_lines(node)]
    assert not bare


@each_module
def test_nothing_prints(path: Path) -> None:
    prints = [
        f"line {node.lineno}"
        for node in nodes(path)
        if isinstance(node, ast.Call)
        if isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not prints


@each_module
def test_no_reminders_are_left(path: Path) -> None:
    assert re.findall(r"\b(?:TODO|FIXME|XXX)\b", path.read_text()) == []


@each_page
def test_relative_links_lead_somewhere(path: Path) -> None:
    dead = [link for link in relative_links(path) if not (path.parent / link).exists()]
    assert not dead


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


def is_function(part: ast.AST) -> TypeGuard[Function]:
    """Overloads are not counted: they only tell types of the function that follows."""
    return isinstance(part, Function) and "overload" not in map(ast.unparse, part.decorator_list)


def is_definition(part: ast.AST) -> TypeGuard[Function | ast.ClassDef]:
    return isinstance(part, ast.ClassDef) or is_function(part)


def body_lines(function: Function) -> int:
    """Lines from `def` to the end, without decorators and docstring."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1 - doc_lines(function)


def doc_lines(node: Documented) -> int:
    if ast.get_docstring(node) is None:
        return 0
    first = node.body[0]
    assert first.end_lineno is not None
    return first.end_lineno - first.lineno + 1


def public(scope: Documented, name: str = "module") -> Iterator[tuple[str, Documented]]:
    """The module, its public classes and functions, and the public methods of those classes."""
    yield name, scope
    if isinstance(scope, Function):
        return
    for part in scope.body:
        if is_definition(part) and not part.name.startswith("_"):
            yield from public(part, f"{part.name} (line {part.lineno})")


def relative_links(path: Path) -> list[str]:
    """Targets of the page's links and images, without those to other sites and to anchors."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)|^\[[^\]]+\]:\s*(\S+)", prose, flags=re.MULTILINE)
    links = [(inline or reference).partition("#")[0] for inline, reference in targets]
    return [link for link in links if link and not re.match(r"[a-z]+:", link)]
