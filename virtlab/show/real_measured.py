"""Our disk beside QEMU's own, in one Linux: measured once, and read from a file.

    requests a second          QEMU's own    ours, event-driven    ours, polling
    4 KiB reads, 1 in flight         4087           2896 (0.60)      4150 (1.02)

The idea: a ratio of two devices in the same guest, in the same run, says much about the devices and
little about the machine. Absolute figures are of one machine, and are marked so.

The rule that keeps it simple: nothing is measured here. The file has its provenance in its first
lines, and a test of the project measures the ratios again.

Source: `python -m benchmarks --rows linux`.
"""

from __future__ import annotations

import csv
from importlib import resources
from typing import NamedTuple

from virtlab.show.tables import Table

FILE = ("data", "linux", "figures.tsv")
"""Where in the package the figures are."""


class Measured(NamedTuple):
    """Requests a second with `depth` in flight; ratios are ours over QEMU's own.

    A ratio is the median of those of neighbouring turns, so it need not be the quotient.
    """

    request: str
    depth: int
    qemu: int
    event: int
    event_ratio: float
    polling: int
    polling_ratio: float

    @property
    def name(self) -> str:
        """What was asked for, and how many at once."""
        return f"{self.request}, {self.depth} in flight"


def figures() -> list[Measured]:
    """The rows of the file."""
    text = resources.files("virtlab").joinpath(*FILE).read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [
        Measured(
            row["request"],
            int(row["depth"]),
            int(row["qemu"]),
            int(row["event"]),
            float(row["event_ratio"]),
            int(row["polling"]),
            float(row["polling_ratio"]),
        )
        for row in csv.DictReader(lines, delimiter="\t")
    ]


def figures_table() -> Table:
    """All of them, in requests a second."""
    rows = [
        (
            each.name,
            f"{each.qemu}",
            f"{each.event} ({each.event_ratio:.2f})",
            f"{each.polling} ({each.polling_ratio:.2f})",
        )
        for each in figures()
    ]
    headers = ("requests", "QEMU's own", "ours, event-driven", "ours, polling")
    caption = "Requests a second in one Linux under TCG, on two cores (ours over QEMU's own)"
    return Table(caption, headers, tuple(rows))
