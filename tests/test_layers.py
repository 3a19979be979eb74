"""The house's rules: a file imports only from rows above its own; doors open quickly."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "wingbar"
ROWS = [
    ["_system.text"],
    ["errors"],
    ["_system"],
    ["boxes"],
    ["images"],
    ["data"],
    ["nets"],
    ["opam"],
    ["learning.recipe"],
    ["config"],
    ["learning"],
    ["explain"],
    ["prediction"],
    ["model"],
    ["recognizer"],
    ["steps"],
    ["pipeline"],
    ["training"],
    ["evaluation"],
    ["check", "guide", "bulk"],
    ["demo", "exchange"],
    ["serve"],
    ["cli"],
    ["__main__"],
]
FILES = sorted(SOURCE.rglob("*.py"))


def row_of(module: str) -> int:
    """The row of ``data.cub``: that of its longest listed prefix."""
    fits = [
        (len(name), number)
        for number, row in enumerate(ROWS)
        for name in row
        if module == name or module.startswith(name + ".")
    ]
    assert fits, f"{module} has no row: give it one here and in docs/architecture.md"
    return max(fits)[1]


def module_of(path: Path) -> str:
    """``data.cub`` of ``data/cub.py``; empty for the package itself."""
    return ".".join(part for part in path.relative_to(SOURCE).with_suffix("").parts if part != "__init__")


MODULES = {module_of(path): ast.parse(path.read_text()) for path in FILES}


def imported(tree: ast.AST) -> set[str]:
    """Modules of ours that a file imports when it runs, wherever in the file, relative to the package."""
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.dump(branch.test)
        for node in ast.walk(branch)
    }
    modules = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            modules |= {name if name.removeprefix("wingbar.") in MODULES else str(node.module) for name in names}
    return {name.removeprefix("wingbar").lstrip(".") for name in modules if f"{name}.".startswith("wingbar.")} - {""}


def test_a_file_imports_only_from_rooms_above_its_own() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, tree in MODULES.items()
        for other in imported(tree)
        if module and other.split(".")[0] != module.split(".")[0] and row_of(other) >= row_of(module)
    ]
    assert wrong == []


def test_no_circle_of_imports() -> None:
    graph = {module: imported(tree) for module, tree in MODULES.items() if module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' imports '.join(reversed(error.args[1]))}")


def test_every_function_of_the_tests_is_a_test_or_is_used() -> None:
    """A test whose name no longer starts with ``test_`` is never run, and nothing else says so."""
    trees = {path: ast.parse(path.read_text()) for path in sorted(Path(__file__).parent.rglob("*.py"))}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    called_by_pytest = ("test_", "pytest_")
    unused = [
        f"{path.name}: {node.name}"
        for path, tree in trees.items()
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name not in used
        if not node.name.startswith(called_by_pytest) and not any("fixture" in ast.dump(d) for d in node.decorator_list)
    ]
    assert unused == []


@pytest.mark.parametrize("command", [["-c", "import wingbar"], ["-m", "wingbar", "--help"]])
def test_torch_waits_until_it_is_needed(command: list[str]) -> None:
    """The 0.3 s that imports may take are measured in the benchmarks; here: what would make them slow is absent."""
    code = "import sys, runpy\n" + (
        "import wingbar\n"
        if command[0] == "-c"
        else "sys.argv = ['wingbar', '--help']\ntry:\n    runpy.run_module('wingbar', run_name='__main__')\n"
        "except SystemExit: pass\n"
    )
    heavy = "print('HEAVY', [m for m in ('torch', 'timm', 'sklearn', 'scipy', 'numba') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + heavy], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_the_public_names_import() -> None:
    import wingbar

    assert {name for name in wingbar.__all__ if getattr(wingbar, name) is None} == set()
    with pytest.raises(AttributeError, match="nothing"):
        wingbar.nothing  # noqa: B018
