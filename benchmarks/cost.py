"""What each of the recipes would cost on this machine: hours, from the measured rates of what takes the time.

    python benchmarks/cost.py [--quick] [--write]

Nothing is trained to the end. For each net the training step, the passes without gradients at the sizes that the
method shows pictures at, and the selective search are timed; then what the pipeline does is counted for the published
number of pictures. On a machine with a GPU the nets run there, as they do in `wingbar train`. What a recipe would
cost on a GPU is computed besides, from rates that timm's authors measured on theirs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from _measure import Options, alternate, door, files, spread, table
from torch.nn import functional as F

from wingbar.config import Config, read_config
from wingbar.data.layouts import cars, flowers, pets
from wingbar.images import read_picture
from wingbar.learning.hardware import Hardware, open_hardware
from wingbar.learning.loop import training_mode
from wingbar.learning.schedule import make_optimizer
from wingbar.nets import MapNet, create
from wingbar.opam.proposals import ProposalSettings, propose
from wingbar.steps.discriminant import TAUGHT_PICTURES
from wingbar.steps.filtering import CROPS_AT_ONCE
from wingbar.steps.nets import MAP_SCALE
from wingbar.steps.passes import AT_ONCE

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
PICTURES = {"cub": 5994, **{of.__name__.rpartition(".")[2]: of.PUBLISHED.train for of in (cars, flowers, pets)}}
"""Training pictures of each data set, as published."""
SEARCHED = 50
NETS = ("net", "batch", "pictures/s learnt from", "pictures/s looked at", "passes/s of the patch filter")
COSTS = (
    "recipe", "million views learnt from", "million passes of the patch filter", "h of training", "h of the filter",
    "h of maps, boxes and validation", "h of selective search, one core", "h in all",
)  # fmt: skip

BY_TIMM = {"convnext_tiny.fb_in22k_ft_in1k": (818.81, 2380.94), "vgg19_bn_cam": (398.50, 1265.83)}
"""Net -> pictures a second that it learns from and looks at, at 224 px on an RTX 3090, AMP, channels last, torch 1.12.

Source: huggingface/pytorch-image-models, results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv (batches of 256) and
benchmark-infer-amp-nhwc-pt112-cu113-rtx3090.csv (1,024 and 512): convnext_tiny_in22ft1k and vgg19_bn. That has a larger
classifier than ours.
"""


@dataclass(frozen=True)
class Work:
    """How often a recipe has a net do what."""

    taught: float
    """Views that nets learn from."""
    patches: float
    """Passes of the patch filter."""
    looks: float
    """Passes of single views at the nets' size."""
    located: float
    """Passes at the size of principal maps."""


def work(config: Config, pictures: int) -> Work:
    """All that ``wingbar train`` has nets do with so many training pictures, what a refit does again included."""
    return work_of_marks(config, pictures) if config.method == "field-marks" else work_of_opam(config, pictures)


def work_of_marks(config: Config, pictures: int) -> Work:
    """The same for ``method = "field-marks"``."""
    recipe, held = config.base_recipe(), pictures * config.validation
    tried = len(config.marks.sides) * config.marks.groups
    learnt, looks, located = 0.0, 0.0, 0.0
    for fitted in [pictures - held, pictures] if config.refit else [pictures - held]:
        taught = min(fitted, TAUGHT_PICTURES)
        learnt += recipe.epochs * fitted
        located += taught
        looks += 2 * fitted * recipe.probe_head + 3 * (pictures - taught)  # the probe; what was not learnt from
        looks += taught * (4 + 1 + 2 + tried)  # corners twice, with mirrors; marks; what each view is worth
        looks += taught * (4 + 1) + held * (recipe.epochs + 3 + len(config.marks.sides))  # readout; validation, joint
    return Work(learnt, 0.0, looks, located)


def work_of_opam(config: Config, pictures: int) -> Work:
    """The same for ``method = "opam"``."""
    base, crops = config.base_recipe(), config.base_recipe()
    if config.crops_start_from_classnet():
        crops = config.follow_recipe()
    epochs = 2 * base.epochs + 2 * crops.epochs
    held, taught, patches, looks = pictures * config.validation, 0.0, 0.0, 0.0
    cuts = [pictures - held, pictures] if config.refit else [pictures - held]
    for fitted in cuts:
        taught += epochs * fitted
        patches += fitted * (config.proposals.limit if config.filtering.scorer == "crop" else 1)
        looks += 2 * fitted * 2 * (base.probe_head + crops.probe_head)  # two nets each; the views and their mirrors
        looks += pictures * (4 + config.parts.count)  # the map, the learnt box (twice as mirrors), and the parts
    # Validation pictures are looked at after each epoch, and by what is chosen.
    looks += held * (epochs + len(config.localization.rules) + 4 + config.parts.count)
    return Work(taught, patches, looks, pictures if "principal" in config.localization.sources() else 0)


@dataclass(frozen=True)
class Rates:
    """Seconds a picture of what `Work` counts."""

    taught: float
    patches: float
    looks: float
    located: float

    def hours(self, done: Work) -> list[float]:
        """Of training, of the filter, and of all else that nets do."""
        taught, patches = done.taught * self.taught, done.patches * self.patches
        return [seconds / 3600 for seconds in (taught, patches, done.looks * self.looks + done.located * self.located)]


def by_timm(config: Config) -> Rates:
    """Of a recipe's net on the GPU of `BY_TIMM`; squares of another size cost by their pixels."""
    learns, looks = (rate * (224 / config.size) ** 2 for rate in BY_TIMM[config.net])
    large = 1 if config.filtering.scorer == "crop" else MAP_SCALE
    located = (config.locating_size() / config.size) ** 2
    return Rates(1 / learns, large**2 / looks, 1 / looks, located / looks)


class Stopwatch:
    """A recipe's net on this machine."""

    def __init__(self, config: Config, classes: int, hardware: Hardware, repeats: int) -> None:
        self.config, self.hardware, self.repeats, self.recipe = config, hardware, repeats, config.base_recipe()
        torch.manual_seed(0)
        net = create(config.net, classes, dropout=self.recipe.dropout).to(hardware.device)
        self.net: MapNet = net.to(memory_format=torch.channels_last)

    def rates(self) -> Rates:
        """Measured one after the other."""
        config = self.config
        crop = config.filtering.scorer == "crop"
        taught = self.seconds(self.step(config.size), self.recipe.batch_size)
        self.net.eval()
        patches = self.passes(config.size, CROPS_AT_ONCE) if crop else self.passes(MAP_SCALE * config.size, 1)
        return Rates(taught, patches, self.passes(config.size, AT_ONCE), self.passes(config.locating_size(), AT_ONCE))

    def seconds(self, run: Callable[[], object], pictures: int) -> float:
        """Of one picture; the run ends when the device has ended."""

        def ended() -> None:
            run()
            if self.hardware.device.type == "cuda":
                torch.cuda.synchronize()

        return alternate({"it": ended}, self.repeats).median("it") / pictures

    def step(self, size: int) -> Callable[[], None]:
        """A step of `learning.loop`: forward, backward, clipped, the weights moved."""
        count, fabric = self.recipe.batch_size, self.hardware.fabric
        net, optimizer = fabric.setup(self.net, make_optimizer(self.net, self.recipe), move_to_device=False)
        training_mode(self.net, self.recipe)
        pixels = torch.randn(count, 3, size, size, device=self.hardware.device)
        labels = torch.zeros(count, dtype=torch.long, device=self.hardware.device)

        def run() -> None:
            optimizer.zero_grad()
            fabric.backward(F.cross_entropy(net(pixels).float(), labels))
            if self.recipe.clip_norm:
                fabric.clip_gradients(net, optimizer, max_norm=self.recipe.clip_norm)
            optimizer.step()

        return run

    def passes(self, size: int, count: int) -> float:
        """Seconds a picture of a pass without gradients."""
        pixels = torch.randn(count, 3, size, size, device=self.hardware.device)

        @torch.no_grad()
        def run() -> None:
            self.net(pixels)

        return self.seconds(run, count)


def search_seconds(options: Options) -> float:
    """Of a picture's selective search, on one core."""
    found = files(options.data, "train")
    settings = ProposalSettings()
    some = spread([*found], options.number(SEARCHED, 2))
    pictures = [read_picture(found[key], short_side=settings.side) for key in some]
    runs = {"all": lambda: [propose(picture, settings) for picture in pictures]}
    return alternate(runs, options.number(3, 1)).median("all") / len(pictures)


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    search = search_seconds(options)
    torch.set_num_threads(os.cpu_count() or 1)
    rates: dict[str, Rates] = {}
    nets, rows, on_gpu = [], [], []
    for path in RECIPES:
        config, pictures = read_config(path), PICTURES[path.stem.partition("-")[0]]
        done, searched = work(config, pictures), pictures * search / 3600
        hours = by_timm(config).hours(done)
        on_gpu.append([path.stem, *hours, searched, sum(hours) + searched])
        config = replace(config, size=options.number(config.size, 32))
        hardware = open_hardware(config)
        if config.net not in rates:
            own = rates[config.net] = Stopwatch(config, 200, hardware, options.number(3, 1)).rates()
            nets.append([config.net, config.base_recipe().batch_size, 1 / own.taught, 1 / own.looks, 1 / own.patches])
        hours = rates[config.net].hours(done)
        rows.append([path.stem, done.taught / 1e6, done.patches / 1e6, *hours, searched, sum(hours) + searched])
    told = [f"{net} learns from {rate:.0f} pictures a second" for net, (rate, _) in BY_TIMM.items()]
    device = torch.cuda.get_device_name() if hardware.device.type == "cuda" else f"{os.cpu_count()} cores, no GPU"
    return f"""## Cost of the recipes

Hours of `wingbar train --config recipes/NAME.toml` on {device}, in the precision that `auto` chooses: measured rates
times what is to be done with the published number of training pictures, everything but the search once without the
validation pictures and once with them (refit). Random pixels at the recipe's batch size; reading pictures, which
loaders do meanwhile, is left out.

{table(NETS, nets)}

{table(COSTS, rows)}

The same work at the rates that timm's authors measured on an RTX 3090 (AMP, channels last, torch 1.12, 224 px; squares
of another size by their pixels): {", ".join(told)}. Not measured by us: their
batches are larger than the recipes', and loaders have to keep up.

{table((COSTS[0], *COSTS[3:]), on_gpu)}"""


if __name__ == "__main__":
    door(measure, __doc__)
