"""Alternative Routing-ID Interpretation: one device, up to 256 functions.

    routing id    [ bus 15..8 ][ device 7..3 ][ function 2..0 ]
    with ARI      [ bus 15..8 ][        function 7..0         ]

The idea: at the end of a link there is one device, number 0. So its five bits say nothing, and ARI
gives them to the function. Three parties must agree. Each function has the capability. The port
above forwards (`Bridge.forwards_ari`). And for VFs software says so in the SR-IOV capability.

The rule that keeps it simple: functions form a list. Each names the next, 0 ends it. VFs are not
in it: their ids follow from offset and stride.

Source: PCI Express 3.0, 6.13, 7.23. Left out: function groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from virtlab.pci.extended import Ari
from virtlab.pci.function import Function


def add_ari(function: Function, at: int) -> Ari:
    """Give a function the capability at `at` of its configuration space; it is the last so far."""
    return function.config.add(Ari(), at)


def link_ari(functions: Iterable[Function]) -> None:
    """Chain the functions of one device in the order of their numbers (7.23.2).

    All of them have the capability and are plugged in.
    """
    ordered = sorted(functions, key=lambda function: function.source_id)
    for function, following in pairwise([*ordered, None]):
        capability = function.config.find(Ari) if function is not None else None
        if capability is None:
            raise ValueError(f"{function} has no ARI capability")
        number = following.source_id & 0xFF if following is not None else 0
        capability.preset(CAPABILITY=Ari.CAPABILITY.NEXT_FUNCTION.put(0, number))
