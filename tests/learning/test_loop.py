"""The training loop: it learns, resumes to the bit, keeps its best epoch, and writes no pickle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from wingbar.config import Config
from wingbar.errors import ConfigError
from wingbar.learning.checkpoint import Checkpoint
from wingbar.learning.hardware import Hardware, open_hardware
from wingbar.learning.history import Epoch, History, finished
from wingbar.learning.loop import TrainingWatch, fit, normalize, predict_logits
from wingbar.learning.recipe import Recipe
from wingbar.learning.views import Mix, View
from wingbar.nets import create

RECIPE = Recipe(
    epochs=3, batch_size=4, learning_rate=3e-3, head_factor=1.0, probe_head=False, frozen_norms=False, ema_decay=0.9
)


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return Hardware(Fabric(accelerator="cpu", devices=1), workers=0)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> list[View]:
    """Red pictures are class 0, blue ones class 1."""
    folder, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    made = []
    for number in range(16):
        pixels = rng.integers(0, 90, (40, 50, 3), dtype=np.uint8)
        pixels[:, :, 2 * (number % 2)] += 120
        Image.fromarray(pixels).save(folder / f"{number}.png")
        made.append(View(folder / f"{number}.png", number % 2))
    return made


def small_net(dropout: float = 0.2) -> torch.nn.Module:
    torch.manual_seed(0)
    return create("res2net_nano", 2, dropout=dropout)


def train(views, hardware, recipe=RECIPE, validation=None, net=None, **options):
    net = net or small_net()
    mixes = [Mix(view.path, view.label, {"picture": [(None, -1)]}, {"picture": 1.0}) for view in views[:12]]
    validated = views[12:] if validation is None else validation
    return net, fit(net, mixes, validated, recipe, size=32, seed=5, hardware=hardware, **options)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_one_process_of_a_slurm_job_trains_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning takes the job's number of tasks for its own, or refuses it."""
    for name, value in {"NTASKS": 4, "JOB_ID": 7, "PROCID": 1, "LOCALID": 1, "NODEID": 1, "NNODES": 2}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    fabric = open_hardware(Config(device="cpu")).fabric
    assert (fabric.world_size, fabric.global_rank) == (1, 0)


class Stop(Exception):
    """Stands for a power cut."""


def test_it_learns_red_from_blue(views, hardware) -> None:
    net, history = train(views, hardware, replace(RECIPE, epochs=8))
    assert history.epochs[history.best].val_accuracy == 1.0
    logits, labels = predict_logits(net, views, 32, hardware)
    assert (logits.argmax(1) == labels).float().mean() > 0.9


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("cut", [("epoch", 0), ("epoch", 1), ("step", 2)])
def test_a_training_cut_off_goes_on_to_the_same_bits(tmp_path: Path, views, hardware, cut, optimizer) -> None:
    recipe = replace(RECIPE, optimizer=optimizer)
    whole, history = train(views, hardware, recipe)

    def step(epoch: int, done: int, steps: int, rate: float) -> None:
        if cut[0] == "step" and (epoch, done) == (cut[1], 2):
            raise Stop

    def end(epoch: Epoch) -> None:
        if cut == ("epoch", epoch.epoch):
            raise Stop

    state = Checkpoint(tmp_path / "training.safetensors", "key")
    with pytest.raises(Stop):
        train(views, hardware, recipe, checkpoint=state, watch=TrainingWatch(step, end))
    resumed, again = train(views, hardware, recipe, checkpoint=state)
    assert same(whole, resumed)
    assert [(e.train_loss, e.val_loss, e.val_accuracy) for e in again.epochs] == [
        (e.train_loss, e.val_loss, e.val_accuracy) for e in history.epochs
    ]


def test_loader_workers_change_nothing(views, hardware) -> None:
    alone, _ = train(views, hardware)
    helped, _ = train(views, Hardware(hardware.fabric, workers=2))
    assert same(alone, helped)


def refuse_more_than(limit: int, net: torch.nn.Module) -> torch.nn.Module:
    """The net, for which memory suffices to learn from as many pictures at a time."""

    def refuse(module: torch.nn.Module, pixels: tuple[torch.Tensor]) -> None:
        if module.training and len(pixels[0]) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    net.register_forward_pre_hook(refuse)
    return net


@pytest.mark.parametrize(("limit", "portions"), [(3, [2]), (1, [2, 4])])
def test_a_batch_that_memory_does_not_suffice_for_is_taken_in_portions(views, hardware, limit, portions) -> None:
    recipe, collected = replace(RECIPE, frozen_norms=True, learning_rate=1e-4), []
    whole, history = train(views, hardware, recipe, net=small_net(0))
    net = refuse_more_than(limit, small_net(0))
    _, divided = train(views, hardware, recipe, net=net, watch=TrainingWatch(say=collected.append))
    assert [int(line.split()[-2]) for line in collected] == portions
    for one, other in zip(whole.state_dict().values(), net.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    for one, other in zip(history.epochs, divided.epochs, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-5)


def test_a_training_goes_on_with_the_portions_that_it_had(tmp_path: Path, views, hardware) -> None:
    recipe, state = replace(RECIPE, frozen_norms=True), Checkpoint(tmp_path / "training.safetensors", "key")
    divided, _ = train(views, hardware, recipe, net=refuse_more_than(3, small_net()))

    def end(epoch: Epoch) -> None:
        raise Stop

    with pytest.raises(Stop):
        net = refuse_more_than(3, small_net())
        train(views, hardware, recipe, net=net, checkpoint=state, watch=TrainingWatch(epoch=end))
    collected: list[str] = []
    resumed, _ = train(views, hardware, recipe, checkpoint=state, watch=TrainingWatch(say=collected.append))
    assert same(divided, resumed) and not collected


@pytest.mark.parametrize(("limit", "frozen"), [(3, False), (0, True)])
def test_batch_norms_that_learn_and_single_pictures_are_not_divided(views, hardware, limit, frozen) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        train(views, hardware, replace(RECIPE, frozen_norms=frozen), net=refuse_more_than(limit, small_net()))


def test_a_training_leaves_the_random_state_of_the_process(views, hardware) -> None:
    net = small_net()
    before = torch.get_rng_state()
    train(views, hardware, replace(RECIPE, epochs=1), net=net)
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_matter(views, hardware) -> None:
    net = small_net()
    mixes = [Mix(view.path, view.label, {"picture": [(None, -1)]}, {"picture": 1.0}) for view in views[:12]]
    fit(net, mixes, views[12:], RECIPE, size=32, seed=6, hardware=hardware)
    assert not same(net, train(views, hardware)[0])


def test_without_validation_the_last_epoch_is_kept(views, hardware) -> None:
    _, history = train(views, hardware, validation=[])
    assert history.best == RECIPE.epochs - 1
    assert np.isnan(history.epochs[0].val_accuracy)


def test_history_keeps_the_first_best_and_stops_when_patience_ends() -> None:
    history = History()
    for number, loss in enumerate([0.5, 0.3, 0.4, 0.3, 0.4]):
        history = history.add(Epoch(number, 1.0, loss, number / 9, 0.1, 10.0))
    assert history.best == 1  # not the last one, whose accuracy is highest
    assert History().add(Epoch(0, 1.0, float("nan"), 0.1, 0.1, 9.0)).add(Epoch(1, 1.0, 0.2, 0.1, 0.1, 9.0)).best == 1
    assert finished(history, replace(RECIPE, epochs=9, patience=3))
    assert not finished(history, replace(RECIPE, epochs=9, patience=4))
    assert not finished(history, replace(RECIPE, epochs=9))
    assert finished(history, replace(RECIPE, epochs=5))
    assert History.from_dict(history.to_dict()) == history


def test_frozen_norms_keep_their_statistics(views, hardware) -> None:
    before = {k: v.clone() for k, v in small_net().state_dict().items() if "running" in k}
    frozen, _ = train(views, hardware, replace(RECIPE, frozen_norms=True))
    free, _ = train(views, hardware)
    assert all(torch.equal(frozen.state_dict()[name], value) for name, value in before.items())
    assert not all(torch.equal(free.state_dict()[name], value) for name, value in before.items())


def test_normalize_is_torchvisions() -> None:
    from torchvision.transforms.v2.functional import normalize as reference

    net, pixels = small_net(), torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    expected = reference(pixels.float() / 255, list(net.mean), list(net.std))
    torch.testing.assert_close(normalize(pixels, net), expected)


def test_a_device_that_is_not_there_is_told_with_the_remedy() -> None:
    for name, module in (("cuda", torch.cuda), ("mps", torch.mps)):
        if not module.is_available():
            with pytest.raises(ConfigError, match=f"device '{name}'.*give 'auto' or 'cpu'"):
                open_hardware(Config(device=name))
