"""Settings of the run that most tests share: too small to be right, but complete."""

from wingbar.config import Config
from wingbar.opam.filtering import FilterSettings

SMALL = Config(
    method="opam", net="res2net_nano", weights="none", size=48, epochs=1, follow_epochs=1, batch_size=8, workers=0,
    filtering=FilterSettings(threshold=0.2, cap=5),
)  # fmt: skip
