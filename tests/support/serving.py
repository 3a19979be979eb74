"""A site with a made-up recogniser, served in a thread: what the tests of the web page share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from wingbar.errors import PictureError
from wingbar.images import read_picture
from wingbar.prediction import Part, Prediction
from wingbar.serve.app import Site, create_app
from wingbar.serve.batching import Batcher
from wingbar.serve.body import RequestLimits
from wingbar.serve.examples import ExamplePictures
from wingbar.serve.metrics import Metrics
from wingbar.serve.server import Server, address, listen

Work = Callable[[list[bytes]], list[Prediction]]


def png(size: tuple[int, int] = (60, 40), kind: str = "PNG", colour: str = "olive") -> bytes:
    """The file of a picture of one colour."""
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def seen(classes: Sequence[str], content: bytes) -> Prediction:
    """The same opinion of every picture; boxes in fixed shares of it."""
    try:
        width, height = read_picture(content).size
    except PictureError as error:
        return Prediction(None, error=str(error))
    shares = np.arange(len(classes), 0, -1) / sum(range(1, len(classes) + 1))
    scores = {name: float(share) for name, share in zip(classes, shares, strict=True)}
    parts = (
        Part((width // 4, height // 4, width // 2, height // 2), 0, scores),
        Part((width // 2, height // 2, 3 * width // 4, 3 * height // 4), 1, dict(reversed(scores.items()))),
    )
    looked = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    box = (width // 10, height // 10, 9 * width // 10, 9 * height // 10)
    return Prediction(None, (width, height), scores, box, parts, {"picture": scores}, saliency_map=looked)


def make_site(
    classes: Sequence[str] = ("wren", "robin", "owl"),
    work: Work | None = None,
    *,
    places: int = 4,
    limits: RequestLimits | None = None,
    examples: ExamplePictures | None = None,
    guide: Path | None = None,
) -> Site:
    """All that a page needs, without a model."""
    batcher: Batcher[bytes, Prediction] = Batcher(
        work or (lambda pictures: [seen(classes, picture) for picture in pictures]), size=2, places=places
    )
    none = ExamplePictures([()] * len(classes))
    return Site(classes, batcher, Metrics(lambda: batcher.taken), examples or none, limits or RequestLimits(), guide)


@contextmanager
def served(site: Site, hosts: Sequence[str] = ()) -> Iterator[str]:
    """The address of the site while it is served on this machine."""
    with listen("127.0.0.1", 0) as listener:
        server = Server(create_app(site, hosts), site.batcher.stop)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield address(listener)
        finally:
            server.should_exit = True
            thread.join()
