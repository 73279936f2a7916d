"""A PCI function: registers that say what it is, BARs to reach it, a pin, and a way to memory.

    bus  --configuration--> ConfigSpace
         --memory, ports--> Bar --> the device's registers
         <--INTx or MSI---- irq <-- the device
         <--requests------- dma <-- the device

The idea: the device in it knows nothing of PCI. It drives `irq`, and reads and writes `dma`. The
function turns the one into a pin or a message, as the guest chose, and lets the other pass if the
guest allowed it.

The rule that keeps it simple: after any write to configuration space, `update` looks at all of it
again. What the function decodes, and what its pin does, follows from the registers and from `irq`.

Source: PCI Local Bus 3.0, 2.2.6 and 6.2 to 6.8; PCI Express 3.0, 6.1 and 6.6.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from virtlab.bus import Device
from virtlab.errors import DmaFault
from virtlab.interrupts import IrqLine, Msi
from virtlab.pci import capabilities
from virtlab.pci.bars import ROM_REGISTER, Bar, Share, Space, check
from virtlab.pci.config import ConfigSpace, Header, Type0
from virtlab.pci.msix import MsixTable
from virtlab.pci.requests import Requests
from virtlab.pci.tlp import bdf_text, source_id

if TYPE_CHECKING:
    from virtlab.pci.bus import Bus

PINS = "-ABCD"
"""The pins by the number that the register has: 0 is none."""


class Identity(NamedTuple):
    """What a function says that it is. `class_code` is class, subclass, interface: 24 bits."""

    vendor: int
    device: int
    class_code: int
    revision: int = 0
    subsystem_vendor: int = 0
    subsystem: int = 0


class Function:
    """One function of a PCI device. `pin` is 0 for none, or 1 to 4 for INTA to INTD.

    `header` is a `Type0` unless given. `bus`, `device` and `number` say where it is plugged in;
    `below` is the bus behind it, if it is a bridge. `awake` is false while it is in D3hot.
    A virtual function has a `share`; a physical one calls `shared` when it looks at its registers.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        name: str = "",
        pin: int = 0,
        express: bool = False,
        header: Header | None = None,
    ) -> None:
        self.name = name or type(self).__name__
        self.header = header if header is not None else Type0()
        self.config = ConfigSpace(self.header, express)
        self.bars: list[Bar] = []
        self.irq = IrqLine(self.name, self._irq_changed)
        self.dma = Requests(self)
        self.bus: Bus | None = None
        self.below: Bus | None = None
        self.device = self.number = 0
        self.awake = True
        self.share: Share | None = None
        self.shared: Callable[[], None] = lambda: None
        self._decoded: list[tuple[Space, int, int, Bar]] = []
        self._identify(identity, pin)
        self.config.written = self.update

    def _identify(self, identity: Identity, pin: int) -> None:
        self.header.preset(
            VENDOR_ID=identity.vendor,
            DEVICE_ID=identity.device,
            CLASS_CODE=identity.class_code,
            REVISION_ID=identity.revision,
            INTERRUPT_PIN=pin,
        )
        if isinstance(self.header, Type0):
            self.header.preset(
                SUBSYSTEM_VENDOR_ID=identity.subsystem_vendor, SUBSYSTEM_ID=identity.subsystem
            )

    # -- making it

    def memory_bar(
        self,
        index: int,
        device: Device,
        size: int,
        *,
        bits: int = 32,
        prefetchable: bool = False,
        width: int = 4,
    ) -> None:
        """Let `device` answer `size` bytes of memory space, at the address in BAR `index`."""
        self._add(Bar(f"BAR{index}", "memory", device, size, bits, prefetchable, width))

    def port_bar(self, index: int, device: Device, size: int, *, width: int = 4) -> None:
        """Let `device` answer `size` ports, at the address in BAR `index`."""
        self._add(Bar(f"BAR{index}", "port", device, size, width=width))

    def rom_bar(self, device: Device, size: int) -> None:
        """Let `device`, a ROM of `size` bytes, answer at the expansion ROM's address."""
        self._add(Bar(ROM_REGISTER, "memory", device, size))

    def msix_bar(self, index: int, vectors: int, at: int) -> MsixTable:
        """Give it MSI-X: a capability at `at`, table and pending bits behind BAR `index`."""
        table = MsixTable(vectors, self.send)
        self.config.add(capabilities.Msix.for_table(table, index), at)
        self.memory_bar(index, table, table.length)
        return table

    def _add(self, bar: Bar) -> None:
        check(bar, self.header)
        taken = {name for other in self.bars for name in (other.register, other.upper)}
        if {bar.register, bar.upper or bar.register} & taken:
            raise ValueError(f"{self.name} has {bar.register} already")
        bar.place(self.header)
        self.bars.append(bar)

    # -- where it is

    @property
    def source_id(self) -> int:
        """Bus, device and function in 16 bits: what its requests carry."""
        if self.share is not None:
            return self.share.source_id
        return source_id(self.bus.number if self.bus else 0, self.device, self.number)

    def __str__(self) -> str:
        return f"{bdf_text(self.source_id)} {self.name}"

    # -- what it answers to

    def decodes(self, bar: Bar) -> bool:
        """Whether `bar` answers, if the function is awake."""
        return bar.enabled(self.header) if self.share is None else self.share.decodes(bar)

    def address(self, bar: Bar) -> int:
        """Where `bar` answers."""
        return bar.address(self.header) if self.share is None else self.share.address(bar)

    def claim(self, space: Space, address: int, size: int) -> tuple[Bar, int] | None:
        """The BAR that has the whole access, and the offset in it; None: not for me."""
        for own, start, end, bar in self._decoded:
            if own == space and start <= address and address + size <= end:
                return bar, address - start
        return None

    def memory_spans(self) -> list[tuple[int, int]]:
        """The `(address, bytes)` of memory space that it may claim, or pass on to a bus below."""
        mine = [each for each in self._decoded if each[0] == "memory"]
        return [(start, end - start) for _, start, end, _ in mine]

    def forwards(self, space: Space, address: int, size: int) -> bool:
        """Whether it is a bridge and passes this on to the bus below."""
        return False

    def forwards_bus(self, number: int) -> bool:
        """Whether it is a bridge and bus `number` is below it."""
        return False

    @property
    def redirects(self) -> bool:
        """Whether it sends the requests of its peers to the root (ACS). Only ports do."""
        return False

    def silence(self, space: Space, address: int) -> str:
        """Why it does not answer although a BAR of it has the address; else empty."""
        for bar in self.bars:
            start = self.address(bar)
            if bar.space == space and start <= address < start + bar.size:
                if not self.decodes(bar):
                    return f"{self}: {bar.register} has it, but {space} decoding is off"
                return f"{self}: the access runs off the end of {bar.register}"
        return ""

    # -- interrupts

    def notify(self, vector: int = 0) -> bool:
        """Send the message for `vector`, if the guest enabled MSI-X or MSI; whether it did."""
        msix = self.config.find(capabilities.Msix)
        if msix is not None and msix.enabled:
            msix.table.notify(vector)
            return True
        msi = self.config.find(capabilities.Msi)
        if msi is not None and msi.enabled:
            msi.notify(vector, self.send)
            return True
        return False

    def send(self, message: Msi) -> None:
        """An interrupt message is a memory write by the function (PCI 3.0, 6.8)."""
        try:
            self.dma.write(message.address, message.data.to_bytes(4, "little"))
        except DmaFault as fault:
            if self.bus is not None:
                trace = self.bus.root.trace
                trace.emit("lost", self.name, "memory", message.address, 4, 0, str(fault))

    def _irq_changed(self, level: bool) -> None:
        if level:
            self.notify(0)
        self.update()

    @property
    def messages(self) -> bool:
        """Whether the guest chose messages, so that the pin rests."""
        msix, msi = self.config.find(capabilities.Msix), self.config.find(capabilities.Msi)
        return (msix is not None and msix.enabled) or (msi is not None and msi.enabled)

    # -- state

    def update(self) -> None:
        """Look at all registers again: what to decode, what to do with the pin.

        A 1 in Initiate Function Level Reset resets it (PCI Express 3.0, 6.6.2). In D3hot it answers
        configuration requests, and nothing else, and requests nothing (PCI PM 1.2, 5.4.1).
        """
        express = self.config.find(capabilities.Express)
        if express is not None and express.take_flr():
            kept = express.kept_by_flr()
            self.reset()
            express.values.update(kept)
            return
        self._changed()
        power = self.config.find(capabilities.PowerManagement)
        self.awake = power is None or power.state == 0
        if self.share is not None:
            self.awake = self.awake and self.share.awake
        self._decoded = [
            (bar.space, start, start + bar.size, bar)
            for bar in self.bars
            if self.awake and self.decodes(bar)
            for start in [self.address(bar)]
        ]
        if (msi := self.config.find(capabilities.Msi)) is not None:
            msi.unmasked(self.send)
        status = Header.STATUS.INTERRUPT_STATUS
        level = self.irq.level and self.share is None  # a VF has no INTx (SR-IOV 1.1, 3.4.1)
        self.header.STATUS = status.put(self.header.STATUS, level)
        pin = self.header.INTERRUPT_PIN
        if self.bus is not None and pin:
            disabled = Header.COMMAND.INTERRUPT_DISABLE.get(self.header.COMMAND)
            level = self.irq.level and self.awake and not disabled and not self.messages
            self.bus.set_intx(self.device, self.number, pin, level)
        self.shared()

    def _changed(self) -> None:
        """Requests of any function may go another way now."""
        above = self.bus.top().complex if self.bus is not None else None
        if above is not None:
            above.changes += 1

    def reset(self) -> None:
        """As after the bus was reset: decodes nothing, may request nothing."""
        self.irq.level = False
        self.config.reset()
