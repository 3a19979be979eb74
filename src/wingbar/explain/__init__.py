"""Pictures that explain a prediction: its boxes, its maps, and what distinguishes the best class from the second."""

from __future__ import annotations

from wingbar.explain.contrast import Contrast, contrast
from wingbar.explain.panel import draw_panels, panel

__all__ = ["Contrast", "contrast", "draw_panels", "panel"]
