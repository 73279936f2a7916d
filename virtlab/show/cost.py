"""What counted events would cost on real hardware, each price with its source.

The idea: virtlab counts, it does not measure itself. A table multiplies counts by the published
prices in `virtlab.clock.COSTS`, so a lesson can say what the difference means outside.
"""

from __future__ import annotations

from collections.abc import Mapping

from virtlab.clock import COSTS
from virtlab.show.tables import Table


def cost_table(counts: Mapping[str, int], caption: str = "On real hardware, about") -> Table:
    """Counts by the names of `COSTS`, priced. `ValueError` for a name that has no price."""
    rows = []
    for name, count in counts.items():
        if name not in COSTS:
            raise ValueError(f"no price for {name!r}; there are prices for {', '.join(COSTS)}")
        cost = COSTS[name]
        total = f"{cost.ns * count / 1000:,.2f}".replace(",", " ")
        rows.append((cost.what, str(count), f"{cost.ns:g}", total, cost.source))
    return Table(caption, ("what", "count", "ns each", "µs in all", "source"), tuple(rows))
