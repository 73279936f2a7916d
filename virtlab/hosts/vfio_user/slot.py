"""The place where a function is plugged in when its machine is somewhere else.

    function --requests--> Slot --> the client's memory
                            +-----> an interrupt of the client's, where it is a message
    function --INTx-------> Slot --> an interrupt of the client's

The idea: to a function a bus is a bus. This root complex has one place and no processor; its memory
is whatever the client of the moment shares. So the function is any `Function`, unchanged.

The rule that keeps it simple: a message is a write, and it is recognized where it would leave: by
its address and its datum. So a message that the guest sends to a place of its own choice is heard
too. With no client there is no memory, and every request is a `DmaFault`.

Source: PCI 3.0, 6.8; vfio-user.rst, "Client Disconnection": the state of the device stays.
"""

from __future__ import annotations

import contextlib

from virtlab.errors import GuestError
from virtlab.hosts.vfio_user.interrupts import Interrupts
from virtlab.hosts.vfio_user.regions import Regions
from virtlab.memory import Dma, GuestMemory
from virtlab.pci.function import Function
from virtlab.pci.root import RootComplex
from virtlab.trace import Trace
from virtlab.virtio.pci import VirtioPci

NOTHING: Dma = GuestMemory([])
"""No memory at all."""


class Slot(RootComplex):
    """A place for `function`, which must be in no other. `reach` is the memory that it may use.

    `trace` has its requests, if it is enabled.
    """

    def __init__(self, function: Function, trace: Trace | None = None) -> None:
        super().__init__(trace or Trace(), lambda source: self.reach, intx=self._pin)
        self.function = function
        self.reach = NOTHING
        self.interrupts = Interrupts(function)
        self.regions = Regions(function)
        self.bus.plug(function)

    def _pin(self, device: int, pin: int, level: bool) -> None:
        self.interrupts.pin(level)

    def write_for(self, function: Function, iova: int, data: bytes) -> None:
        """A request of the function: to memory, unless it is a message."""
        irq = self.interrupts.number_of(iova, data)
        if irq is None:
            super().write_for(function, iova, data)
            return
        value = int.from_bytes(data, "little")
        self.trace.emit("msi", function.name, "memory", iova, len(data), value)
        self.interrupts.send(irq)

    def reset(self) -> None:
        """Reset the function, as its bus would. Who hears it goes on hearing it."""
        self.function.reset()
        self.interrupts.settle()

    def attend(self) -> bool:
        """Look for what a driver added while its queue was handled: whether there may be more.

        On one machine a driver and its device take turns. Here they run at the same time, and a
        driver that was told not to ring does not ring. Memory that is not there may be on its way
        from one window to another: that is nobody's mistake until somebody rings.
        """
        if not isinstance(self.function, VirtioPci) or not self.function.core.live:
            return False
        more = False
        for index, setup in enumerate(self.function.core.queues):
            with contextlib.suppress(GuestError):
                if setup.ready and setup.queue.available():
                    before = setup.queue.last_avail
                    self.function.core.notify(index)
                    more |= setup.queue.last_avail != before
        return more
