"""What is compared: a number for each way and each number of VMs, and a table of them.

    exits   world switches   KiB copied   host's interrupts   CPU time      of a load
    processors at line rate   part of the wire                              of a full wire

The idea: the first five are of a fixed piece of work, so they grow with the VMs. The last two are
of a wire of fixed speed, which the VMs share.

The rule that keeps it simple: a number is that of the VMs that have a device. Beside it stands how
many these are, because a way that serves few VMs is cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from virtlab.show.share_forms import Counts, closed_form
from virtlab.show.share_load import WAYS, Load, Way, check, served
from virtlab.show.share_prices import TICK, busy, nanoseconds, share
from virtlab.show.tables import Table

KIB = 1024


@dataclass(frozen=True, slots=True)
class Metric:
    """A number: `of` counts, or, where `rate` is given, of a full wire.

    `shown` writes it, `why` says why it differs from way to way. With a `rate` frames and batch of
    a load do not matter. `linear`: it is from 0 to 1. `most_is_best`: one wants it large.
    """

    name: str
    shown: Callable[[float], str]
    why: str
    of: Callable[[Counts], float] = lambda counts: 0.0
    rate: Callable[[Way, Load], float] | None = None
    linear: bool = False
    most_is_best: bool = False

    def value(self, way: Way, load: Load) -> float:
        """By the closed form."""
        return self.of(closed_form(way, load)) if self.rate is None else self.rate(way, load)

    def each(self, way: Way, load: Load) -> float:
        """For one VM that has a device; where one wants much, for all of them."""
        value = self.value(way, load)
        return round(value if self.most_is_best else value / served(way, load.vms), 9)

    def ranked(self, load: Load) -> list[Way]:
        """The ways, the best first by `each`. Of equal ones, first who serves more VMs."""
        sign = -1 if self.most_is_best else 1
        return sorted(WAYS, key=lambda way: (sign * self.each(way, load), -served(way, load.vms)))


def _plain(value: float) -> str:
    return f"{value:,.0f}"


def _decimal(value: float) -> str:
    return f"{value:,.1f}" if value else "0"


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _processors(value: float) -> str:
    return f"{value:.2g}"


METRICS: dict[str, Metric] = {
    "exits": Metric(
        "exits",
        _plain,
        "A function of its own traps at no register. What is left are HLTs of guests that sleep.",
        lambda counts: counts.exits,
    ),
    "switches": Metric(
        "world switches",
        _plain,
        "Two for each exit. A back-end in user space adds two for each doorbell, and two for each "
        "batch that comes in.",
        lambda counts: counts.switches,
    ),
    "copied": Metric(
        "KiB copied by the processor",
        _decimal,
        "A card of the VM's own reaches the guest's buffers by DMA. Otherwise each frame is copied "
        "twice, out and in.",
        lambda counts: counts.bytes_copied / KIB,
    ),
    "interrupts": Metric(
        "interrupts that the host handles",
        _plain,
        "Its own card calls the host for each batch that comes in. A posted interrupt does so only "
        "if the guest sleeps.",
        lambda counts: counts.host_interrupts,
    ),
    "time": Metric(
        "microseconds of CPU time",
        _decimal,
        "Exits, trips and copies, at published prices. A trip to another process and back costs as "
        "much as 33 exits, and to copy a long frame as much as 1.7.",
        lambda counts: nanoseconds(counts) / 1000,
    ),
    "busy": Metric(
        "processors busy at line rate",
        _processors,
        "Each further VM costs its batches. What frames cost stays the same, as the wire is full.",
        rate=lambda way, load: busy(way, load.vms, load.size, load.asleep),
    ),
    "share": Metric(
        "part of a 10 Gb/s wire, with one processor for all",
        _percent,
        "Who needs more than one processor at line rate does not fill the wire. Who has no card "
        "gets nothing.",
        rate=lambda way, load: share(way, load.vms, load.size, load.asleep),
        linear=True,
        most_is_best=True,
    ),
}
"""All of them, by their short names."""


def metric(name: str) -> Metric:
    """The metric of this short name. `ValueError` names those that there are."""
    if name not in METRICS:
        raise ValueError(f"the metrics are {', '.join(METRICS)}, not {name!r}")
    return METRICS[name]


def workload(load: Load, rate: bool = False) -> str:
    """In words what the VMs do.

    >>> workload(Load(1, size=60))
    '1 VM; 8 frames of 60 bytes out and 8 in for each'
    """
    vms = f"{load.vms} VM{'s' * (load.vms != 1)}"
    if rate:
        return f"{vms}; a full wire of {load.size}-byte frames, both ways; {TICK // 1000} µs a tick"
    frames = f"{load.frames} frame{'s' * (load.frames != 1)}"
    return f"{vms}; {frames} of {load.size} bytes out and {load.frames} in for each"


def holders(way: Way, vms: int) -> str:
    """`all`, or how many of the VMs have a device."""
    have = served(way, vms)
    return "all" if have == vms else f"{have} of {vms}"


def share_table(load: Load) -> Table:
    """A row for each way: who has a device, and every metric. By closed forms."""
    check(load)
    rows = tuple(
        (way, holders(way, load.vms), *(m.shown(m.value(way, load)) for m in METRICS.values()))
        for way in WAYS
    )
    headers = ("way", "have a device", *(_head(m) for m in METRICS.values()))
    return Table(workload(load), headers, rows)


def _head(metric: Metric) -> str:
    return metric.name.partition(",")[0]
