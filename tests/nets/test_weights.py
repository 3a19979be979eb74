"""Weights: from a file or the registry, strictly, with a readable report, and never by running code."""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from wingbar.errors import WeightsError
from wingbar.nets import MapNet, create, res2net, weights

REAL = os.environ.get("WINGBAR_WEIGHTS")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, no weights but the test's own."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("WINGBAR_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def nano_state(classes: int = 7) -> dict[str, torch.Tensor]:
    """A plain state dict, keys as in an official file, that fits ``res2net_nano``."""
    net = res2net.Res2Net((1, 1, 1), base_width=32, scale=4, num_classes=classes, width=16)
    return {key: value.clone() for key, value in net.state_dict().items()}


def same(net: MapNet, state: dict[str, torch.Tensor]) -> bool:
    body = net.backbone.state_dict()
    return all(torch.equal(value, state[key]) for key, value in body.items())


# files


def test_safetensors_load_and_their_source_is_kept(tmp_path: Path) -> None:
    state = nano_state()
    save_file(state, tmp_path / "net.safetensors", {"license": "CC0-1.0"})
    net = create("res2net_nano", 3, tmp_path / "net.safetensors")
    assert same(net, state)
    digest = hashlib.sha256((tmp_path / "net.safetensors").read_bytes()).hexdigest()
    assert net.weights_source == weights.WeightsSource("net.safetensors", "CC0-1.0", digest)
    assert create("res2net_nano", 3).weights_source is None


@pytest.mark.parametrize("wrap", ["{}", "state_dict", "model", "module."])
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_torch_files_load_in_their_usual_shapes(tmp_path: Path, wrap: str, suffix: str) -> None:
    state = nano_state()
    content: dict = state if wrap == "{}" else {wrap: state, "epoch": 3}
    if wrap == "module.":
        content = {wrap + key: value for key, value in state.items()}
    torch.save(content, tmp_path / f"net{suffix}")
    net = create("res2net_nano", 3, str(tmp_path / f"net{suffix}"))
    assert same(net, state)
    assert net.weights_source is not None
    assert net.weights_source.licence == "unknown"


def test_a_head_of_the_same_classes_is_loaded_and_of_others_is_not(tmp_path: Path) -> None:
    state = nano_state(classes=7)
    save_file(state, tmp_path / "net.safetensors")
    net = create("res2net_nano", 7, tmp_path / "net.safetensors")
    assert torch.equal(net.head.weight, state["fc.weight"])
    assert create("res2net_nano", 3, tmp_path / "net.safetensors").head.weight.shape == (3, 256)


def test_a_mapnets_own_state_loads_back(tmp_path: Path) -> None:
    net = create("res2net_nano", 4)
    save_file(net.state_dict(), tmp_path / "own.safetensors")
    again = create("res2net_nano", 4, tmp_path / "own.safetensors").state_dict()
    assert all(torch.equal(value, again[key]) for key, value in net.state_dict().items())


def test_a_file_that_does_not_fit_is_refused_with_a_report(tmp_path: Path) -> None:
    state = nano_state()
    del state["layer1.0.bns.0.running_mean"]
    state["layer9.conv.weight"] = torch.zeros(1)
    state["conv1.weight"] = torch.zeros(16, 3, 3, 3)
    save_file(state, tmp_path / "net.safetensors")
    with pytest.raises(WeightsError) as caught:
        create("res2net_nano", 3, tmp_path / "net.safetensors")
    assert str(caught.value) == (
        f"{tmp_path / 'net.safetensors'} does not fit network 'res2net_nano':\n"
        "  missing (1): backbone.layer1.0.bns.0.running_mean\n"
        "  unexpected (1): backbone.layer9.conv.weight\n"
        "  shape (1): backbone.conv1.weight [16, 3, 3, 3] instead of [16, 3, 7, 7]"
    )


def test_weights_of_another_network_are_refused_and_the_report_is_short(tmp_path: Path) -> None:
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"missing \(\d+\): .* and \d+ more") as caught:
        create("res2net_nano", 3, tmp_path / "other.safetensors")
    assert len(str(caught.value)) < 1500


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, legacy: bool) -> None:
    file, target = tmp_path / "evil.pth", tmp_path / "touched"
    if legacy:
        file.write_bytes(pickle.dumps({"conv1.weight": Evil(target)}, protocol=2))
    else:
        torch.save({"conv1.weight": Evil(target)}, file)
    with pytest.raises(WeightsError, match="holds more than tensors"):
        create("res2net_nano", 3, file)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.safetensors", b"nonsense", "cannot be read as weights"),
        ("a.safetensors", b"", "cannot be read as weights"),
        ("a.pth", b"", "cannot be read as weights"),
        ("a.pth", b"PK\x03\x04 cut off", "cannot be read as weights"),
        ("a.onnx", b"x", "must end in .safetensors, .pth or .pt"),
        ("a.pth", None, "No weights file"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        create("res2net_nano", 3, tmp_path / name)


def test_a_torch_file_without_a_state_dict(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="no state dict"):
        create("res2net_nano", 3, tmp_path / "list.pt")


# "imagenet"


def test_imagenet_takes_the_named_folder_then_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cached, named = nano_state(), nano_state()
    (tmp_path / "cache/wingbar/weights").mkdir(parents=True)
    save_file(cached, tmp_path / "cache/wingbar/weights/res2net_nano.safetensors")
    assert same(create("res2net_nano", 3, "imagenet"), cached)
    save_file(named, tmp_path / "res2net_nano.safetensors")
    monkeypatch.setenv("WINGBAR_WEIGHTS", str(tmp_path))
    assert same(create("res2net_nano", 3, "imagenet"), named)


def test_without_network_the_error_says_which_file_to_put_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(weights.hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(weights.hub.HfApi, "model_info", offline)
    with pytest.raises(WeightsError) as caught:
        create("resnet10t", 3, "imagenet")
    folder = tmp_path / "cache" / "wingbar" / "weights"
    remedy = (
        f"put the file resnet10t.safetensors into {folder}, or name its folder in WINGBAR_WEIGHTS, or train a network"
    )
    assert remedy in str(caught.value)
    assert "timm/resnet10t" in str(caught.value)


def test_a_network_without_imagenet_weights_says_so() -> None:
    with pytest.raises(WeightsError, match="no ImageNet weights of 'res2net_nano'"):
        create("res2net_nano", 3, "imagenet")


def test_registry_weights_load_strictly_and_their_licence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = timm.create_model("res2net50_26w_4s")
    monkeypatch.setattr(weights, "_fetched", lambda name, _: theirs.state_dict())
    net = create("res2net50", 1000, "imagenet").eval()
    assert net.weights_source is not None
    assert net.weights_source.licence == "unknown"
    assert net.weights_source.name.startswith("timm timm/res2net50_26w_4s")
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs.eval()(x)
        torch.testing.assert_close(net(x), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_a_copy_in_the_hubs_cache_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = timm.create_model("resnet10t").state_dict()
    save_file(state, tmp_path / "model.safetensors")
    monkeypatch.setattr(weights.hub, "try_to_load_from_cache", lambda *_: str(tmp_path / "model.safetensors"))
    net = create("resnet10t", 3, "imagenet")
    assert same(net, state)
    assert net.weights_source is not None
    assert net.weights_source.licence == "apache-2.0"


# nets whose keys differ from their files'


def test_a_norm_after_pooling_is_taken_as_the_norm_before_it(tmp_path: Path) -> None:
    state = timm.create_model("eva02_tiny_patch14_224").state_dict()
    state["fc_norm.weight"] += 1
    save_file(state, tmp_path / "eva.safetensors")
    net = create("eva02_tiny_patch14_224", 3, tmp_path / "eva.safetensors")
    assert torch.equal(net.backbone.norm.weight, state["fc_norm.weight"])


def test_vgg_with_cam_head_starts_from_plain_vgg(tmp_path: Path) -> None:
    with torch.device("meta"):
        theirs = timm.create_model("vgg19_bn").state_dict()
    state = {key: torch.full(v.shape, 2.0, dtype=v.dtype) for key, v in theirs.items() if "features" in key}
    state |= {"pre_logits.fc1.weight": torch.zeros(2), "head.fc.weight": torch.zeros(1000, 4096)}
    save_file(state, tmp_path / "vgg19_bn.safetensors")
    net = create("vgg19_bn_cam", 3, tmp_path / "vgg19_bn.safetensors")
    assert all((value == 2).all() for value in net.backbone.features.state_dict().values())


# the real files


@pytest.mark.skipif(not REAL, reason="WINGBAR_WEIGHTS is not set")
def test_real_mobilenet_gives_what_timm_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINGBAR_WEIGHTS", str(REAL))
    net = create("mobilenetv2_100", 50, "imagenet").eval()
    theirs = timm.create_model("mobilenetv2_100", num_classes=0).eval()
    theirs.load_state_dict(load_file(Path(str(REAL)) / "mobilenetv2_100.safetensors"), strict=True)
    x = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        torch.testing.assert_close(net.forward_features(x).mean((2, 3)), theirs(x), rtol=1e-5, atol=1e-5)
    assert net.weights_source is not None
    assert net.weights_source.name == "mobilenetv2_100.safetensors"


def test_a_file_in_place_of_the_folder_is_told_as_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "res2net_nano.safetensors"
    file.touch()
    monkeypatch.setenv("WINGBAR_WEIGHTS", str(file))
    with pytest.raises(WeightsError, match="names a file") as raised:
        weights.find("res2net_nano")
    assert f"Set it to {tmp_path}, " in str(raised.value)


def test_the_named_folder_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in files that set variables without a shell: a container's, a service's."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "res2net_nano.safetensors").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WINGBAR_WEIGHTS", "~/weights")
    assert weights.find("res2net_nano") == tmp_path / "weights" / "res2net_nano.safetensors"


def test_a_user_without_a_home_has_no_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert weights.folders() == [] and weights.find("res2net_nano") is None
    monkeypatch.setattr(weights, "_fetched", lambda *_: 1 / 0)
    with pytest.raises(
        WeightsError,
        match=r"ZeroDivisionError \(division by zero\).*into a folder that WINGBAR_WEIGHTS names, or train a network",
    ):
        weights._from_registry("mobilenetv2_100")
    monkeypatch.setenv("WINGBAR_WEIGHTS", str(tmp_path))
    assert weights.folders() == [tmp_path]


def test_a_user_without_a_home_gets_no_folder_called_by_a_tilde(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As huggingface_hub and torch would make it below the working folder: ``~/.cache``, taken literally."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights.hub.constants, "HF_HUB_CACHE", "~/.cache/huggingface/hub")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "~/.cache/torch/hub")
    assert weights.ready("mobilenetv2_100") is None
    for hub_id in ("timm/mobilenetv2_100.ra_in1k", None):
        with pytest.raises(FileNotFoundError, match="set XDG_CACHE_HOME to a folder"):
            weights._fetched("mobilenetv2_100", hub_id)
    with pytest.raises(WeightsError, match=r"no home folder .* put the file mobilenetv2_100.safetensors into"):
        weights._from_registry("mobilenetv2_100")
    assert not any(tmp_path.iterdir())
