"""The command that lists backbones."""

from __future__ import annotations

from dataclasses import dataclass

from wingbar.cli.options import Flag


@dataclass
class Backbones:
    """List the backbones that the tests take through the whole method, for `train --net`."""

    measure: Flag = False
    """Measure each on this machine: pictures a second through the bare net, at 224 px, as in prediction. Minutes."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        print(table(self.measure))
        return 0


def table(measure: Flag = False) -> str:
    """One row a backbone."""
    from wingbar.evaluation.tables import render
    from wingbar.nets.backbones import all_facts, pictures_per_second

    headers = ["net", "family", "map's stride", "parameters", "weights' licence"]
    rows = [
        [net.name, net.family, f"{net.stride} px", f"{net.parameters / 1e6:.1f} M", net.licence] for net in all_facts()
    ]
    if measure:
        headers.append("pictures/s")
        rows = [[*row, f"{pictures_per_second(row[0], 224):.1f}"] for row in rows]
    return render(headers, rows)
