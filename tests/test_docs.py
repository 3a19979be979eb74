"""The pages say what the code says, and every command in them runs, in the order in which a reader meets them."""

from __future__ import annotations

import ast
import asyncio
import csv
import doctest
import importlib
import importlib.util
import json
import re
import shlex
import shutil
import sys
import tomllib
import urllib.request
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image
from torch.distributed.run import parse_args

import wingbar
from wingbar import cli
from wingbar.config import Config, read_config
from wingbar.data import load as load_data
from wingbar.learning.presets import PRESETS
from wingbar.opam.filtering import FilterSettings
from wingbar.serve.app import document
from wingbar.serve.review.decisions import Decisions
from wingbar.serve.server import Server

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in (
    "README.md", "docs/quick-start.md", "docs/own-photos.md", "docs/exchange.md", "docs/data-sets.md",
    "docs/data-check.md", "docs/serve.md", "docs/review.md", "docs/trust.md", "docs/settings.md", "docs/method.md",
    "docs/reproduce.md", "docs/results.md", "docs/performance.md", "docs/backbones.md", "docs/reliability.md",
    "docs/many-machines.md", "docs/architecture.md",
)]  # fmt: skip
ONLY_PARSED = {
    "wingbar data check reviewed/labels.csv --images-root more_pictures/": "labels that a person gave",
    "wingbar train CUB_200_2011 --out paper --recipe paper --net vgg19_bn_cam --size 224": "a net for a GPU, 70 epochs",
    "wingbar train CUB_200_2011 --out paper-literal --config paper.toml": "the same net",
    "wingbar evaluate paper": "the run of the lines above",
    "wingbar data download flowers flowers/": "a download; tests/data/test_download.py runs it on a server of its own",
    "wingbar data download cars cars/": "a download",
    "wingbar train CUB_200_2011 --config recipes/cub-vgg19bn.toml --out cub-paper": "a net for a GPU",
    "wingbar train flowers/ --config recipes/flowers-convnext.toml --out flowers-run": "a net for a GPU",
    "wingbar backbones --measure": "minutes",
    "wingbar predict-many run more_pictures/ --out answers-as-they-come --watch": "tests/bulk/test_watch.py stops it",
    "wingbar demo": "run by tests/test_demo.py",
}
"""Commands that are not run here, and why."""


@dataclass(frozen=True)
class Small(Config):
    """Defaults of the command line that train in seconds; what a page writes out still counts."""

    net: str = "res2net_nano"
    weights: str = "none"
    size: int = 48
    epochs: int = 1
    follow_epochs: int = 1
    batch_size: int = 8
    workers: int = 0
    filtering: FilterSettings = field(default_factory=lambda: FilterSettings(threshold=0.2, cap=5))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each block of code, fenced or indented."""
    found = re.findall(r"^```([a-z]*)\n(.*?)^```|((?:^    [^\n]*\n)+)", page.read_text(encoding="utf-8"), re.M | re.S)
    return [(language, text or indented) for language, text, indented in found]


def shell_lines(*programs: str) -> list[str]:
    """Different commands of the pages that start with one of ``programs``, as a reader meets them."""
    lines = (line.strip() for page in PAGES for _, text in blocks(page) for line in text.splitlines())
    return list(dict.fromkeys(shlex.join(shlex.split(one, comments=True)) for one in lines if one.startswith(programs)))


def module_at(path: Path) -> ModuleType:
    """A script, loaded but not run."""
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, birds: Path) -> Path:
    """A reader's folder: pictures and files under the names that the pages use."""
    folder = tmp_path_factory.mktemp("desk")
    rows = []
    for number, sample in enumerate(load_data(birds).samples):
        place = Path(
            "photos", sample.split, ("house_sparrow", "tree_sparrow", "wren")[sample.label], f"{number:02d}.jpg"
        )
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(sample.path) as picture:
            picture.save(folder / place, quality=95)
        rows.append((place.as_posix(), place.parts[2], sample.split))
    with (folder / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    (folder / "tables").mkdir()
    with (folder / "tables" / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *((f"../{path}", *rest) for path, *rest in rows)])
    shutil.copy(folder / rows[0][0], folder / "some_picture.jpg")
    (folder / "more_pictures").mkdir()
    with Image.open(folder / rows[-1][0]) as picture:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = "2024:05:01 06:07:08"  # when it was taken
        picture.save(folder / "more_pictures" / "one.jpg", exif=exif)
    task = {
        "data": {"path": "one.jpg"},
        "annotations": [{"result": [{"type": "choices", "value": {"choices": ["wren"]}}]}],
    }
    (folder / "export.json").write_text(json.dumps([task]))
    (folder / "reviewed").mkdir()
    Decisions(folder / "reviewed").decide("one.jpg", "confirmed", "wren")
    shutil.copytree(folder / "photos" / "train" / "wren", folder / "new_classes" / "dunnock")
    (folder / "list.txt").write_text("# of the whole country\nWren\ntree sparrow\ngolden eagle\n")
    (folder / "place.csv").write_text("label,prior\nwren,120\ntree_sparrow,8\n")
    (folder / "taxa.csv").write_text("label,scientificName\nwren,Troglodytes troglodytes\n")
    shutil.copytree(birds, folder / "CUB_200_2011")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    for text in (text for page in PAGES for language, text in blocks(page) if language == "toml"):
        (folder / text.splitlines()[0].removeprefix("# ")).write_text(text)
    return folder


@pytest.fixture
def at_the_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the reader's folder, with small defaults, and a server that goes home after one visitor."""
    monkeypatch.chdir(desk)
    monkeypatch.setattr("wingbar.cli.settings.Config", Small)
    monkeypatch.setattr("wingbar.cli.settings.read_config", lambda path, base: read_config(path, Small()))
    monkeypatch.setattr("wingbar.learning.presets.PRESETS", {name: {} for name in PRESETS})
    monkeypatch.setattr("wingbar.serve.server.Server", VisitedOnce)


class VisitedOnce(Server):
    """The server as it is, stopped by the first answer."""

    async def main_loop(self) -> None:
        port = self.servers[0].sockets[0].getsockname()[1]
        assert await asyncio.to_thread(visit, f"http://127.0.0.1:{port}/healthz") == b'{"status":"ok"}'


def visit(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read()


def run(line: str) -> int:
    arguments = shlex.split(line)[1:]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--port", "0"] if arguments[0] in ("serve", "review") else arguments)
    return int(ended.value.code or 0)


@pytest.fixture
def trained(desk: Path, at_the_desk: None) -> None:
    """What nearly every command needs; done already unless one test is run alone."""
    if not (desk / "run").exists():
        assert run("wingbar train photos/ --out run") == 0


@pytest.fixture
def exported(desk: Path, trained: None, request: pytest.FixtureRequest) -> None:
    """The export and kept answers, for commands that read them."""
    line = request.node.callspec.params["line"]
    reads_it = "onnx" in line.replace("--out onnx", "").replace("--runtime onnx", "").split()
    if reads_it and not (desk / "onnx").exists():
        assert run("wingbar export run --out onnx") == 0
    if line.startswith("wingbar convert answers") and not (desk / "answers").exists():
        assert run("wingbar predict-many run more_pictures/ --out answers") == 0


def with_examples() -> list[tuple[str, str]]:
    """Module and name of each function and class whose docstring has an example."""
    result: list[tuple[str, str]] = []

    def look(module: str, outer: str, nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                name = f"{outer}{node.name}"
                if ">>> " in (ast.get_docstring(node) or ""):
                    result.append((module, name))
                look(module, f"{name}.", node.body)

    source = Path(wingbar.__file__).parent
    for path in sorted(source.rglob("*.py")):
        look(
            ".".join(["wingbar", *path.relative_to(source).with_suffix("").parts]), "", ast.parse(path.read_text()).body
        )
    assert {"train", "load", "Recognizer.predict", "evaluate", "export"} <= {name for _, name in result}
    return result


@pytest.mark.parametrize("module, name", with_examples(), ids=lambda value: value)
def test_the_example_of_a_docstring_runs(module: str, name: str, trained: None) -> None:
    scope = importlib.import_module(module)
    examples = doctest.DocTestFinder(recurse=False).find(attrgetter(name)(scope), name, globs={})
    outcomes = [doctest.DocTestRunner().run(example) for example in examples]
    assert sum(outcome.attempted for outcome in outcomes) > 0 and not any(outcome.failed for outcome in outcomes)


@pytest.mark.parametrize("line", [line for line in shell_lines("wingbar ") if line not in ONLY_PARSED])
def test_every_command_in_the_pages_runs(line: str, exported: None) -> None:
    assert run(line) == 0


@pytest.mark.parametrize("line", ONLY_PARSED)
def test_what_is_not_run_is_understood_and_stands_in_the_pages(line: str, desk: Path, monkeypatch) -> None:
    monkeypatch.chdir(desk)
    assert any(line in page.read_text(encoding="utf-8") for page in PAGES)
    assert cli.parse(line.split()[1:]) is not None


@pytest.mark.parametrize("line", shell_lines("torchrun "))
def test_every_job_of_several_processes_is_understood(line: str, desk: Path, monkeypatch) -> None:
    """tests/system/test_distributed.py runs such jobs."""
    monkeypatch.chdir(desk)
    job = parse_args(shlex.split(line)[1:])
    assert (job.module, job.training_script) == (True, "wingbar")
    assert isinstance(cli.parse(job.training_script_args), cli.SHARED_OUT)


@pytest.mark.parametrize("line", shell_lines("python "))
def test_every_script_takes_the_options_of_the_pages(line: str, monkeypatch, capsys) -> None:
    path, *arguments = shlex.split(line)[1:]
    monkeypatch.setattr(sys, "argv", [path, *arguments, "--help"])
    with pytest.raises(SystemExit) as ended:
        module_at(ROOT / path).main()
    assert not ended.value.code
    assert set(re.findall(r"--[a-z-]+", line)) <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))


def test_other_commands_name_things_that_are_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for line in shell_lines("make "):
        assert set(line.split()[1:]) <= targets, line
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in shell_lines("pip "):
        what, extras = re.fullmatch(r"pip install '?(\.)(?:\[([a-z,]+)\])?'?", line).groups()  # type: ignore[union-attr]
        assert what and set(filter(None, (extras or "").split(","))) <= set(project["optional-dependencies"]), line
    for line in shell_lines("curl "):
        assert re.search(r"http://127\.0\.0\.1:8000(/\S+)", line)[1] in document()["paths"], line  # type: ignore[index]


def test_no_page_is_left_out() -> None:
    assert set(PAGES) == {ROOT / "README.md", *ROOT.glob("docs/*.md")}


def test_the_settings_page_is_up_to_date() -> None:
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == module_at(ROOT / "docs/settings.py").page()


def test_the_page_of_backbones_is_up_to_date() -> None:
    assert (ROOT / "docs/backbones.md").read_text(encoding="utf-8") == module_at(ROOT / "docs/backbones.py").page()


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_pictures_of_the_pages_are_small_and_shown() -> None:
    pictures = sorted((ROOT / "docs/images").iterdir())
    assert sum(path.stat().st_size for path in pictures) < 400_000
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [path.name for path in pictures if f"images/{path.name})" not in text] == []
