"""What counted events would cost on real hardware, each price with its source.

The idea: virtlab counts, it does not measure itself. A table multiplies counts by the published
prices in `virtlab.clock.COSTS`, so a lesson can say what the difference means outside.

The prices come from several machines and years. A sum of them is an order of magnitude, and no
more; which of two ways costs more, it shows well.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtlab.clock import COSTS, Cost
from virtlab.show.tables import Table


def price(counts: Mapping[str, float]) -> float:
    """What counts by the names of `COSTS` cost together (ns). `ValueError` for one without a price.

    >>> price({"vm_exit": 10})
    2300.0
    """
    return sum(_cost(name).ns * count for name, count in counts.items())


def cost_table(counts: Mapping[str, float], caption: str = "On real hardware, about") -> Table:
    """Counts by the names of `COSTS`, priced. `ValueError` for a name that has no price."""
    rows = []
    for name, count in counts.items():
        cost = _cost(name)
        total = f"{cost.ns * count / 1000:,.2f}".replace(",", " ")
        rows.append((cost.what, f"{count:.10g}", f"{cost.ns:g}", total, cost.source))
    return Table(caption, ("what", "count", "ns each", "µs in all", "source"), tuple(rows))


def _cost(name: str) -> Cost:
    if name not in COSTS:
        raise ValueError(f"no price for {name!r}; there are prices for {', '.join(COSTS)}")
    return COSTS[name]
