"""The IDE controller as a PCI function: the PIIX3's, in compatibility mode.

    board    1F0-1F7, 3F6   channel 0, IRQ 14
    board    170-177, 376   channel 1, IRQ 15
    BAR 4    16 ports       the two bus masters

The idea: a PC has had its disks at these ports since 1984, and no register can move them. So the
function says nothing of them, and the board maps them:

    ports.map(0x1F0, 8, ide.channels[0].commands, "ide primary", width=4)
    ports.map(0x3F6, 1, ide.channels[0].control, "ide primary control")

Source: Intel PIIX3 (29055002), 2.3 and 2.7. Left out: the two switches that hide the ports (I/O
Space Enable, and bit 15 of IDETIM). Here they answer always, as QEMU's do, for a board without
firmware has nobody to turn them on.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtlab.backends.disk import Storage
from virtlab.clock import Clock
from virtlab.devices.ata.bus_master import BusMaster, BusMasterBlock
from virtlab.devices.ata.channel import Channel
from virtlab.devices.ata.drive import Drive
from virtlab.devices.ata.identify import Label
from virtlab.devices.ata.registers import BUS_MASTER
from virtlab.interrupts import IrqLine
from virtlab.pci.function import Function, Identity
from virtlab.registers import Reg, RegisterFile

PIIX3_IDE = Identity(0x8086, 0x7010, 0x010180)
"""Class 01, subclass 01: IDE. Interface 80h: a bus master, whose ports cannot move."""

BUS_MASTER_BAR = 4


class Timing(RegisterFile):
    """IDETIM, at 0x40 of configuration space: kept, and without effect."""

    PRIMARY = Reg(0, 2, rw=0xFFFF, spec="PIIX3 2.3.9", doc="Timing, and decoding, of channel 0.")
    SECONDARY = Reg(2, 2, rw=0xFFFF, spec="PIIX3 2.3.9", doc="The same of channel 1.")
    AT = 0x40


class IdeFunction(Function):
    """8086:7010. `primary` and `secondary` are the disks of a channel, device 0 first.

    `irqs` are the two interrupt lines: IRQ 14 and 15. Each access to a medium takes `latency` ns
    of `clock`; `ACCESS_TIME` is a good one, 0 means at once. `channels` have the ports that a board
    maps, `masters` their bus masters.
    """

    def __init__(
        self,
        irqs: tuple[IrqLine, IrqLine],
        primary: Sequence[Storage] = (),
        secondary: Sequence[Storage] = (),
        clock: Clock | None = None,
        latency: int = 0,
    ) -> None:
        super().__init__(PIIX3_IDE, name="IDE")
        self.drives = [
            [
                Drive(disk, Label(serial=f"VL{channel}{unit}"), clock, latency)
                for unit, disk in enumerate(disks)
            ]
            for channel, disks in enumerate((primary, secondary))
        ]
        self.channels = (Channel(irqs[0], self.drives[0]), Channel(irqs[1], self.drives[1]))
        first, second = (BusMaster(channel, self.dma) for channel in self.channels)
        self.masters = (first, second)
        self.port_bar(BUS_MASTER_BAR, BusMasterBlock(self.masters), 2 * BUS_MASTER)
        self.config.place(Timing.AT, Timing())

    def reset(self) -> None:
        """The function, its channels and their bus masters."""
        super().reset()
        for channel, master in zip(self.channels, self.masters, strict=True):
            master.reset()
            channel.reset()
