"""What a recogniser looked at, and why it says this class and not the next one, as a picture."""

from __future__ import annotations

from wingbar.explain.contrast import Contrast, contrast
from wingbar.explain.panel import draw_panels, panel

__all__ = ["Contrast", "contrast", "draw_panels", "panel"]
