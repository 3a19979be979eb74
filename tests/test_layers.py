"""The house's rules: a file imports only from rows above its own; doors open quickly; no pickle."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "wingbar"
ROWS = [
    [
        "answers", "errors", "boxes", "files", "heap", "images", "maps", "names", "ranks", "runtime", "shards",
        "shortage",
    ],
    ["data"],
    ["nets"],
    ["opam"],
    ["learning.recipe"],
    ["config"],
    ["learning"],
    ["attention", "store", "reporting", "model", "onnx_runtime", "torch_runtime"],
    ["steps"],
    ["saving", "prediction", "recognizer", "explain"],
    ["pipeline"],
    ["evaluation", "export"],
    ["guide"],
    ["bulk", "demo", "serve"],
    ["cli", "__main__"],
]  # fmt: skip
FILES = sorted(SOURCE.rglob("*.py"))


def row_of(module: str) -> int:
    """The row of ``data.cub``: that of its longest listed prefix."""
    fits = [
        (len(name), number)
        for number, row in enumerate(ROWS)
        for name in row
        if module == name or module.startswith(name + ".")
    ]
    assert fits, f"{module} has no row: give it one here and in the design"
    return max(fits)[1]


def imported(tree: ast.AST) -> set[str]:
    """Modules of ours that a file imports when it runs, relative to the package."""
    found = set()
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.dump(branch.test)
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("wingbar"):
            base = node.module.removeprefix("wingbar").lstrip(".")
            found |= {base} if base else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_from_its_row_and_above(path: Path) -> None:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    module = ".".join(part for part in parts if part != "__init__")
    if not module:
        return
    for other in imported(ast.parse(path.read_text())):
        assert row_of(other) <= row_of(module), f"{module} imports {other} from a row below"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_is_long_and_none_pickles(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 350
    calls = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert not calls & {"pickle", "dill", "joblib", "eval", "exec"} or path.name == "weights.py"


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
