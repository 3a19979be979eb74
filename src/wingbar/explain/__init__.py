"""Pictures that explain a prediction: its boxes and maps, and why this class rather than the next one."""

from __future__ import annotations

from wingbar.explain.contrast import Contrast, contrast
from wingbar.explain.panel import draw_panels, panel

__all__ = ["Contrast", "contrast", "draw_panels", "panel"]
