"""Pretrained weights: finding them, reading them without running any code in them, and loading them strictly."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import huggingface_hub as hub
import timm
import torch
from safetensors import SafetensorError, safe_open
from timm.models import get_pretrained_cfg
from torch import Tensor

from wingbar._system.text import printable
from wingbar.errors import WeightsError
from wingbar.nets import packages
from wingbar.nets.saliency_head import MapNet, WeightsSource

State = dict[str, Tensor]

# Classifiers, and layers between pooling and classifier: a map does not pass through them, so files may
# differ in them. Everything else must fit.
HEADS = ("head", "head_dist", "fc", "classifier", "last_linear", "classif", "heads", "aux_head")
AFTER_POOLING = ("attn_pool", "fc_norm", "pre_logits", "aligner")

# Networks of ours that start from another network's weights, and their layers that no file holds.
STARTS_FROM = {"vgg19_bn_cam": "vgg19_bn", "res2net50": "res2net50_26w_4s"}
NEW_LAYERS = {"vgg19_bn_cam": ("cam",)}
DEFAULT = "tf_efficientnet_lite0"
"""A network whose weights come as a package."""


def load_weights(net: MapNet, weights: str | Path) -> WeightsSource:
    """Fill ``net`` from ``"imagenet"`` or a file; its head only where the file has one of the same shape.

    ``"imagenet"`` looks for a file first (see ``find``), then for an installed package (``packages``), then in the
    hub's cache, and last asks the hub, which may download.
    WeightsError where nothing is found, the file cannot be read, or a key or shape does not fit.
    """
    if str(weights) != "imagenet":
        path = Path(weights)
    elif (file := find(net.name)) is not None:
        path = file
    elif (packaged := packages.installed(net.name)) is not None:
        _fit(net, packages.read_package(net.name), str(packaged))
        package = packages.PACKAGES[net.name]
        return WeightsSource(f"{package.name} ({packaged.name})", package.licence, package.sha256)
    else:
        state, source = _from_registry(net.name)
        _fit(net, state, source.name)
        return source
    state, licence = read(path)
    _fit(net, state, str(path))
    return WeightsSource(path.name, licence, _sha256(path))


def folders() -> list[Path]:
    """Where weight files are looked for: ``WINGBAR_WEIGHTS``, then the cache folder of a user who has a home.

    Raises WeightsError when ``WINGBAR_WEIGHTS`` names a file.
    """
    named = os.path.expanduser(os.environ.get("WINGBAR_WEIGHTS", ""))  # noqa: PTH111 # pathlib would raise
    if named and Path(named).is_file():
        raise WeightsError(
            f"WINGBAR_WEIGHTS names a file ({named}), and has to name the folder with the weight files. "
            f"Set it to {Path(named).absolute().parent}, or give the file itself as the setting 'weights'."
        )
    cache = _cache_folder()
    return [*([Path(named)] if named else []), *([cache / "wingbar" / "weights"] if cache else [])]


def _cache_folder() -> Path | None:
    """The user's cache folder; None for a user without a home, as in a container that runs under any number."""
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named)
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return None


def find(name: str) -> Path | None:
    """The file ``<name>.safetensors`` in the first of ``folders()`` that has it, else None."""
    candidates = [folder / f"{STARTS_FROM.get(name, name)}.safetensors" for folder in folders()]
    return next((path for path in candidates if path.is_file()), None)


def ready(name: str) -> str | None:
    """Where a network's ImageNet weights lie on this machine: a file, a package, the hub's cache; None: nowhere."""
    if find(name) is not None:
        return "file"
    if packages.installed(name) is not None:
        return "package"
    config = get_pretrained_cfg(STARTS_FROM.get(name, name), allow_unregistered=True)
    hub_id = config.hf_hub_id if config is not None else None
    return "hub's cache" if hub_id and _cached(hub_id) else None


def available(name: str) -> bool:
    """Whether a network's ImageNet weights lie on this machine, or the hub answers that it has them."""
    if ready(name) is not None:
        return True
    config = get_pretrained_cfg(STARTS_FROM.get(name, name), allow_unregistered=True)
    if config is None or not config.hf_hub_id:
        return False
    try:
        _ask_the_hub(config.hf_hub_id)
    except Exception:  # whatever the hub's client raises: it cannot be reached
        return False
    return True


def read(path: Path) -> tuple[State, str]:
    """Tensors and stated licence of a ``.safetensors``, ``.pth`` or ``.pt`` file; no code in it is run."""
    if not path.is_file():
        raise WeightsError(f"No weights file {path}. Give 'imagenet' or an existing file.")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                keys = file.keys()
                state = {key: file.get_tensor(key) for key in keys}
                return state, metadata.get("license", "unknown")
        if path.suffix in (".pth", ".pt"):
            return _plain(torch.load(path, map_location="cpu", weights_only=True), path), "unknown"
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is damaged or holds more than tensors, so it was not loaded (it could run code). "
            "Convert it to .safetensors where you trust it."
        ) from error
    except (SafetensorError, RuntimeError, OSError, EOFError) as error:
        raise WeightsError(f"{path} cannot be read as weights: {error}") from error
    raise WeightsError(f"{path} is no weights file: its name must end in .safetensors, .pth or .pt.")


def _plain(content: Any, path: Path) -> State:
    """The state dict in a checkpoint: itself, or under the usual names, without DataParallel's prefix."""
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path} holds no state dict (names with tensors).")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _from_registry(name: str) -> tuple[State, WeightsSource]:
    name = STARTS_FROM.get(name, name)
    config = get_pretrained_cfg(name) if timm.is_model(name) else None
    if config is None or not config.has_weights:
        raise WeightsError(
            f"There are no ImageNet weights of {name!r}. Train it from scratch (weights=None) or give a file."
        )
    label = config.hf_hub_id or config.url
    try:
        state = _fetched(name, config.hf_hub_id)
    except Exception as error:  # whatever the hub's client raises, the remedy is the same
        places = " or ".join(str(folder) for folder in folders())
        hint = "" if os.environ.get("WINGBAR_WEIGHTS") else ", or name its folder in WINGBAR_WEIGHTS"
        if not places:  # of a user without a home
            places, hint = "a folder", " that WINGBAR_WEIGHTS names"
        if not any(packages.installed(network) for network in packages.PACKAGES):
            hint += f", or train a network whose weights pip installs: pip install 'wingbar[weights]', --net {DEFAULT}"
        else:
            hint += f", or train a network whose weights are installed: --net {DEFAULT}"
        raise WeightsError(
            f"The ImageNet weights of {name!r} ({label}) could not be fetched: {type(error).__name__} "
            f"({printable(str(error))}). "
            f"Without network, put the file {name}.safetensors into {places}{hint}."
        ) from error
    return state, WeightsSource(f"timm {label}", config.license or "unknown", None)


def _ask_the_hub(hub_id: str) -> None:
    """Raises what the hub's client raises, at once, where there is no network or no such model."""
    if "HF_HUB_DISABLE_TELEMETRY" not in os.environ:  # or the hub is told more than what is fetched
        hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    hub.HfApi().model_info(hub_id, timeout=10)


def _fetched(name: str, hub_id: str | None) -> State:
    """The state dict of timm's pretrained model, from the hub's cache where it is there."""
    if hub_id and (cached := _cached(hub_id)):
        overlay = {"file": cached}
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay).state_dict()
    if _homeless(hub.constants.HF_HUB_CACHE if hub_id else torch.hub.get_dir()):
        raise FileNotFoundError("there is no home folder to keep them in; set XDG_CACHE_HOME to a folder")
    if hub_id:  # the download would retry for most of a minute
        _ask_the_hub(hub_id)
    return timm.create_model(name, pretrained=True).state_dict()


def _cached(hub_id: str) -> str | None:
    """The weights' file in the hub's cache, if there is one."""
    if _homeless(hub.constants.HF_HUB_CACHE):
        return None
    cached = hub.try_to_load_from_cache(hub_id, "model.safetensors")
    return cached if isinstance(cached, str) else None


def _homeless(cache: str) -> bool:
    """Whether a library would keep files in a folder called ``~`` below the working folder: the user has no home."""
    return cache.startswith("~")


def _fit(net: MapNet, state: State, origin: str) -> None:
    """Load ``state`` into ``net``; WeightsError with a report unless all but the head fits exactly."""
    state = _our_keys(net, state)
    expected = net.state_dict()
    loose = tuple(f"backbone.{name}." for name in (*HEADS, *AFTER_POOLING, *NEW_LAYERS.get(net.name, ())))
    head: State = {key: state.pop(key) for key in ("head.weight", "head.bias") if key in state}
    missing = [key for key in expected if key not in state and not key.startswith(("head.", *loose))]
    unexpected = [key for key in state if key not in expected and not key.startswith(loose)]
    shapes = [
        f"{key} {list(value.shape)} instead of {list(expected[key].shape)}"
        for key, value in state.items()
        if key in expected and value.shape != expected[key].shape
    ]
    if missing or unexpected or shapes:
        report = [_listed("missing", missing), _listed("unexpected", unexpected), _listed("shape", shapes)]
        lines = "\n  ".join(line for line in report if line)
        raise WeightsError(f"{origin} does not fit network {net.name!r}:\n  {lines}")
    if head and all(value.shape == expected[key].shape for key, value in head.items()):
        state.update(head)
    net.load_state_dict({key: value for key, value in state.items() if key in expected}, strict=False)


def _our_keys(net: MapNet, state: State) -> State:
    """A MapNet's keys as they are; a plain model's moved under ``backbone.`` and ``head.``."""
    if any(key.startswith("backbone.") for key in state):
        return dict(state)
    names = net.backbone.state_dict()
    if "norm.weight" in names and "fc_norm.weight" not in names and "norm.weight" not in state:
        # timm calls a transformer's last norm so where it stands after pooling; ours stands before.
        state = {key.replace("fc_norm.", "norm.", 1): value for key, value in state.items()}
    config = getattr(net.backbone, "pretrained_cfg", None) or {"classifier": "fc"}
    classifier = config.get("classifier")
    keys = {}
    for key, value in state.items():
        module, _, kind = key.rpartition(".")
        keys[f"head.{kind}" if module == classifier else f"backbone.{key}"] = value
    return keys


def _listed(kind: str, keys: list[str], most: int = 5) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return f"{kind} ({len(keys)}): {', '.join(keys[:most])}{more}" if keys else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
