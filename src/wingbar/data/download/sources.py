"""Where the published data sets are to be had: their owners' addresses, checksums and terms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remote:
    """One file of a data set."""

    name: str
    """Its name, here and on mirrors."""
    url: str
    """The owner's address; empty where that is dead."""
    md5: str
    """Empty where none is known."""


@dataclass(frozen=True, slots=True)
class Source:
    """A data set."""

    title: str
    page: str
    terms: str
    files: tuple[Remote, ...]
    folder: str = "."
    """Below the folder given, the one that `wingbar train` reads."""


_VGG = "https://www.robots.ox.ac.uk/~vgg/data"
_DOGS = "http://vision.stanford.edu/aditya86/ImageNetDogs"

SOURCES = {
    "cub": Source(
        "CUB-200-2011",
        "https://www.vision.caltech.edu/datasets/cub_200_2011/",
        "non-commercial research and education; the photographers keep their rights",
        (
            Remote(
                "CUB_200_2011.tgz",
                "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
                "97eceeb196236b17998738112f37df78",
            ),
        ),
        "CUB_200_2011",
    ),
    "cars": Source(
        "Cars-196",
        "https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        "research only",
        (
            Remote("cars_train.tgz", "", "065e5b463ae28d29e77c1b4b166cfe61"),
            Remote("cars_test.tgz", "", "4ce7ebf6a94d07f1952d94dd34c4d501"),
            Remote("car_devkit.tgz", "", "c3b158d763b6e2245038c8ad08e45376"),
            Remote("cars_test_annos_withlabels.mat", "", "b0a2b23655a3edd16d84508592a98d10"),
        ),
    ),
    "pets": Source(
        "Oxford-IIIT Pet",
        f"{_VGG}/pets/",
        "Creative Commons BY-SA 4.0; the photographers keep their rights",
        (
            Remote("images.tar.gz", f"{_VGG}/pets/data/images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c"),
            Remote("annotations.tar.gz", f"{_VGG}/pets/data/annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f"),
        ),
    ),
    "flowers": Source(
        "Oxford-Flower-102",
        f"{_VGG}/flowers/102/",
        "none stated by its owners; the pictures come from the web",
        (
            Remote("102flowers.tgz", f"{_VGG}/flowers/102/102flowers.tgz", "52808999861908f626f3c1f4e79d11fa"),
            Remote("imagelabels.mat", f"{_VGG}/flowers/102/imagelabels.mat", "e0620be6f572b9609742df49c70aed4d"),
            Remote("setid.mat", f"{_VGG}/flowers/102/setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c"),
            Remote(
                "102segmentations.tgz", f"{_VGG}/flowers/102/102segmentations.tgz", "51375996b6c4f367a4b9f4492d7ecef5"
            ),
        ),
    ),
    "aircraft": Source(
        "FGVC-Aircraft",
        f"{_VGG}/fgvc-aircraft/",
        "non-commercial research only; the photographers keep their rights",
        (
            Remote(
                "fgvc-aircraft-2013b.tar.gz",
                f"{_VGG}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
                "d4acdd33327262359767eeaa97a4f732",
            ),
        ),
        "fgvc-aircraft-2013b",
    ),
    "dogs": Source(
        "Stanford Dogs",
        f"{_DOGS}/",
        "those of ImageNet, where the pictures come from: non-commercial research and education",
        (
            Remote("images.tar", f"{_DOGS}/images.tar", "1bb1f2a596ae7057f99d7d75860002ef"),
            Remote("annotation.tar", f"{_DOGS}/annotation.tar", "4298cc0031f6bc6e74612ac83b5988e2"),
            Remote("lists.tar", f"{_DOGS}/lists.tar", "edbb9f16854ec66506b5f09b583e0656"),
        ),
    ),
}
"""By the name that `wingbar data download` takes. Checksums: torchvision's, and for CUB, Cars, the segmentations,
Aircraft and Dogs those that several public readers of these sets agree on."""
