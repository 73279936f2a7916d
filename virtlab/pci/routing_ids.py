"""Where virtual functions are: a physical function's routing id, an offset, a stride.

    one PF, 4 VFs                    03:00.0   03:00.1 .2 .3 .4       offset 1, stride 1
    one PF, 20 VFs, with ARI         03:00.0   03:00.1 ... 03:02.4    offset 1, stride 1
    one PF, 20 VFs, without ARI      03:00.0   04:00.0 ... 04:02.3    offset 256, stride 1
    two PFs, 3 VFs each              03:00.0   03:00.2 .4 .6          offset 2, stride 2
                                     03:00.1   03:00.3 .5 .7          offset 2, stride 2

The idea: a routing id is 16 bits: bus, device, function. Software computes it by one addition, and
needs no list. Without ARI a port lets only device 0 of its own link be reached, that is 8
functions. So a device that has more puts them on the next bus number, where all 256 can be reached.

The rule that keeps it simple: physical functions take turns. Then no two VFs meet, however many of
each there are.

Source: SR-IOV 1.1, 2.1.2, 3.3.9, 3.3.10; PCI Express 3.0, 6.13. Left out: layouts of other vendors'
devices, which a driver reads from the same two registers.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.pci.tlp import source_id
from virtlab.wire import all_ones

FUNCTIONS, BUS = 8, 256
"""Routing ids of one device, and of one bus."""


class Placement(NamedTuple):
    """`offset` from the physical function to its first VF, `stride` from one VF to the next."""

    offset: int
    stride: int

    def routing_id(self, physical: int, index: int) -> int:
        """The routing id of VF `index`, counted from 0 (the specification counts from 1).

        >>> hex(Placement(offset=0x180, stride=2).routing_id(0x0300, 3))
        '0x486'
        """
        return (physical + self.offset + index * self.stride) & all_ones(2)

    def last_bus(self, physical: int, count: int) -> int:
        """The highest bus number that `physical` and `count` VFs of it are on."""
        last = physical + self.offset + (count - 1) * self.stride if count else physical
        return max(physical, last) // BUS


class Spread(NamedTuple):
    """How a device with `functions` physical functions, numbers 0 and up, spreads their VFs."""

    functions: int = 1

    def place(self, count: int, ari: bool) -> Placement:
        """Where `count` VFs of any of them are. Both registers change with both arguments."""
        room = (BUS if ari else FUNCTIONS) // self.functions - 1
        if count <= room or ari:
            return Placement(self.functions, self.functions)
        # On the next bus: the first multiple of `functions` there, so that turns stay turns.
        return Placement(-(-BUS // self.functions) * self.functions, self.functions)


def distance(bus: int, routing_id: int) -> int:
    """How far `routing_id` is from device 0, function 0 of bus number `bus`.

    >>> distance(3, 0x0402)
    258
    """
    return (routing_id - source_id(bus, 0, 0)) & all_ones(2)
