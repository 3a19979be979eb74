"""The command that lists backbones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wingbar.cli.options import Flag


@dataclass
class Backbones:
    """List the backbones that the tests take through the whole method, for `train --net`, and where weights lie."""

    measure: Flag = False
    """Measure each on this machine: pictures a second through the bare net, at 224 px, as in prediction. Minutes."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.nets.backbones import pictures_per_second
        from wingbar.nets.weights import ready

        here = {"weights here": lambda net: ready(net) or "-"}
        speed = {"pictures/s": lambda net: f"{pictures_per_second(net, 224):.1f}"} if self.measure else {}
        print(table(here | speed))
        return 0


def table(columns: Mapping[str, Callable[[str], str]] | None = None) -> str:
    """One row a backbone: its facts, and ``columns`` by their headers, each a text about the net of that name."""
    from wingbar.evaluation.tables import render
    from wingbar.nets.backbones import all_facts

    columns = columns or {}
    headers = ["net", "family", "map's stride", "parameters", "weights' licence", *columns]
    rows = [
        [net.name, net.family, f"{net.stride} px", f"{net.parameters / 1e6:.1f} M", net.licence]
        + [column(net.name) for column in columns.values()]
        for net in all_facts()
    ]
    return render(headers, rows)
