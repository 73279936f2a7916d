"""Capabilities: what a function says of itself beyond its header, each declared once.

A class here is three things. It makes a function of ours answer. It decodes a dump of a real
machine. It labels the picture.

    0x01 power management   0x09 vendor   0x0D subsystem   0x11 MSI-X      here
    0x05 MSI                                                               `msi`
    0x10 PCI Express                                                       `pcie`

The extended ones, from 0x100 on, are in `extended`. Those that no function of ours has are in
`layouts`, and so are the lists of all that are known.

Source: PCI Local Bus 3.0, 6.7, 6.8.2; PCI Power Management 1.2, 3.2; PCI Express
6.3, 7.9.23 (subsystem).
"""

from __future__ import annotations

from virtlab.pci.config import Capability
from virtlab.pci.msi import Msi as Msi
from virtlab.pci.msix import MsixTable
from virtlab.pci.pcie import Express as Express
from virtlab.registers import Reg
from virtlab.wire import Bits

_PM, _MSIX, _SUBSYSTEM = "PCI PM 1.2 3.2", "PCI 3.0 6.8.2", "PCI Express 6.3 7.9.23"


class PowerManagement(Capability):
    """Power states D0 to D3."""

    id = 0x01
    PMC = Reg(
        0x02,
        2,
        reset=0x0003,
        fields={
            "VERSION": Bits(2, 0),
            "PME_CLOCK": Bits(3),
            "DSI": Bits(5),
            "AUX_CURRENT": Bits(8, 6),
            "D1": Bits(9),
            "D2": Bits(10),
            "PME_SUPPORT": Bits(15, 11),
        },
        spec=f"{_PM}.3",
        doc="Which states it has, and from which it can wake the machine.",
    )
    PMCSR = Reg(
        0x04,
        2,
        reset=0x0008,
        rw=0x0003,
        fields={
            "POWER_STATE": Bits(1, 0),
            "NO_SOFT_RESET": Bits(3),
            "PME_ENABLE": Bits(8),
            "DATA_SELECT": Bits(12, 9),
            "DATA_SCALE": Bits(14, 13),
            "PME_STATUS": Bits(15),
        },
        spec=f"{_PM}.4",
        doc="The state it is in: 0 is D0, 3 is D3hot.",
    )
    PMCSR_BSE = Reg(
        0x06,
        1,
        fields={"B2_B3": Bits(6), "BUS_POWER_CONTROL": Bits(7)},
        spec=f"{_PM}.5",
        doc="For a bridge: what the bus below does when the bridge sleeps.",
    )
    DATA = Reg(0x07, 1, spec=f"{_PM}.6", doc="How much power it takes; DATA_SELECT says when.")

    @property
    def state(self) -> int:
        """0 is awake."""
        return PowerManagement.PMCSR.POWER_STATE.get(self.PMCSR)

    def write_PMCSR(self, old: int, new: int) -> None:
        """D1 and D2 that it does not have are not entered (PM 1.2, 3.2.4)."""
        state, can = PowerManagement.PMCSR.POWER_STATE, PowerManagement.PMC
        asked = state.get(new)
        if (asked == 1 and not can.D1.get(self.PMC)) or (asked == 2 and not can.D2.get(self.PMC)):
            self.PMCSR = state.put(new, state.get(old))


class Vendor(Capability):
    """What a vendor has to say. Only its length is defined; a subclass declares the rest."""

    id = 0x09
    length = 4
    LENGTH = Reg(0x02, 1, spec="PCI 3.0 appendix H", doc="Bytes of this capability.")

    def __init__(self) -> None:
        super().__init__()
        self.preset(LENGTH=self.length)


class SubsystemId(Capability):
    """Who made the card, for a bridge, whose header has no room for it."""

    id = 0x0D
    SUBSYSTEM_VENDOR_ID = Reg(0x04, 2, spec=_SUBSYSTEM, doc="Who made the card.")
    SUBSYSTEM_ID = Reg(0x06, 2, spec=_SUBSYSTEM, doc="Which card.")

    def __init__(self, vendor: int = 0, device: int = 0) -> None:
        super().__init__()
        self.preset(SUBSYSTEM_VENDOR_ID=vendor, SUBSYSTEM_ID=device)


class Msix(Capability):
    """MSI-X: up to 2048 vectors, each with its own address and datum, in a table behind a BAR.

    `Msix()` alone is for a function of one vector; `for_table` describes the table that is there.
    """

    id = 0x11
    CONTROL = Reg(
        0x02,
        2,
        rw=0xC000,
        fields={"TABLE_SIZE": Bits(10, 0), "FUNCTION_MASK": Bits(14), "ENABLE": Bits(15)},
        spec=f"{_MSIX}.3",
        doc="Whether it is on, whether all of it is masked, and the number of vectors less one.",
    )
    TABLE = Reg(
        0x04,
        4,
        fields={"BIR": Bits(2, 0), "OFFSET": Bits(31, 3)},
        spec=f"{_MSIX}.4",
        doc="Which BAR the table is behind, and where, in units of 8 bytes.",
    )
    PBA = Reg(
        0x08,
        4,
        fields={"BIR": Bits(2, 0), "OFFSET": Bits(31, 3)},
        spec=f"{_MSIX}.5",
        doc="The same for the pending bits.",
    )

    def __init__(self, table: MsixTable | None = None, bar: int = 0, at: int = 0) -> None:
        super().__init__()
        self.table = table or MsixTable(1, lambda message: None)
        if not 0 <= bar <= 5 or at % 8:
            raise ValueError(f"a table cannot be at {at:#x} of BAR {bar}")
        self.preset(
            CONTROL=self.table.vectors - 1, TABLE=at | bar, PBA=at + self.table.pba_offset | bar
        )

    @classmethod
    def for_table(cls, table: MsixTable, bar: int, at: int = 0) -> Msix:
        """The capability that describes `table`, which begins at `at` behind BAR `bar`."""
        return cls(table, bar, at)

    @property
    def enabled(self) -> bool:
        """Whether the guest chose MSI-X."""
        return bool(Msix.CONTROL.ENABLE.get(self.CONTROL))

    def write_CONTROL(self, old: int, new: int) -> None:
        """The function mask is the table's too: what was pending may go now."""
        self.table.set_mask(not self.enabled or bool(Msix.CONTROL.FUNCTION_MASK.get(new)))

    def reset(self) -> None:
        """Off, and the table as after power-on."""
        super().reset()
        self.table.reset()
