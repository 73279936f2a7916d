"""Layouts that only dumps have, and the lists of all capabilities that are known.

A class here decodes a real machine. No function of ours has it, so no bit can be written.

`CAPABILITIES` and `EXTENDED_CAPABILITIES` find a class by the id. Three ids need a second look:
MSI has four layouts, and PCI Express and vendor capabilities say themselves how long they are.
`layout_of` takes it.

Source: PCI Local Bus 3.0, appendices H and I; AHCI 1.3.1, 2.4; EHCI 1.0, appendix C; PCI Express
6.3, 7.8.5 and 7.9.21; the Yenta register description for CardBus. The extended ones are in
`extended_layouts`.
"""

from __future__ import annotations

from virtlab.pci.capabilities import Msix, PowerManagement, SubsystemId, Vendor
from virtlab.pci.config import Capability, ExtendedCapability, Header
from virtlab.pci.extended import Acs, Aer, Ari, Ats, SerialNumber, SrIov, VirtualChannel
from virtlab.pci.extended_layouts import (
    DataLinkFeature,
    DataObjectExchange,
    DesignatedVendorSpecific,
    DownstreamPortContainment,
    EventCollectorEndpoints,
    L1PmSubstates,
    LatencyTolerance,
    Multicast,
    PageRequest,
    Pasid,
    PowerBudgeting,
    PrecisionTime,
    ResizableBar,
    RootComplexLink,
    SecondaryExpress,
    TphRequester,
    VendorSpecific,
)
from virtlab.pci.msi import Msi, msi_layout
from virtlab.pci.pcie import Express, express_length
from virtlab.registers import Reg
from virtlab.wire import Bits

_IDS, _PCIE, _YENTA = "PCI 3.0 appendix H", "PCI Express 6.3", "Yenta 2.2"


class Type2(Header):
    """The header of a CardBus bridge: one BAR, three bus numbers, four windows."""

    length = 0x48
    BAR0 = Reg(0x10, 4, spec=_YENTA, doc="Where its socket registers answer.")
    CAPABILITIES = Reg(0x14, 1, spec=_YENTA, doc="Where the first capability is.")
    SECONDARY_STATUS = Reg(0x16, 2, spec=_YENTA, doc="What happened on the bus below.")
    PRIMARY_BUS = Reg(0x18, 1, spec=_YENTA, doc="The bus above.")
    SECONDARY_BUS = Reg(0x19, 1, spec=_YENTA, doc="The CardBus below.")
    SUBORDINATE_BUS = Reg(0x1A, 1, spec=_YENTA, doc="The highest bus below.")
    MEMORY_BASE_0 = Reg(0x1C, 4, spec=_YENTA, doc="The first byte of the first window.")
    MEMORY_LIMIT_0 = Reg(0x20, 4, spec=_YENTA, doc="Its last page.")
    MEMORY_BASE_1 = Reg(0x24, 4, spec=_YENTA, doc="The first byte of the second window.")
    MEMORY_LIMIT_1 = Reg(0x28, 4, spec=_YENTA, doc="Its last page.")
    IO_BASE_0 = Reg(0x2C, 4, spec=_YENTA, doc="The first port of the third window.")
    IO_LIMIT_0 = Reg(0x30, 4, spec=_YENTA, doc="Its last four ports.")
    IO_BASE_1 = Reg(0x34, 4, spec=_YENTA, doc="The first port of the fourth window.")
    IO_LIMIT_1 = Reg(0x38, 4, spec=_YENTA, doc="Its last four ports.")
    BRIDGE_CONTROL = Reg(0x3E, 2, spec=_YENTA, doc="What a socket does.")
    SUBSYSTEM_VENDOR_ID = Reg(0x40, 2, spec=_YENTA, doc="Who made the card.")
    SUBSYSTEM_ID = Reg(0x42, 2, spec=_YENTA, doc="Which card.")


# -- capabilities


class VitalProductData(Capability):
    """A small memory with part and serial numbers, read a word at a time."""

    id = 0x03
    ADDRESS = Reg(
        0x02,
        2,
        fields={"ADDRESS": Bits(14, 0), "FLAG": Bits(15)},
        spec="PCI 3.0 appendix I",
        doc="Which word; the flag turns over when it is there.",
    )
    DATA = Reg(0x04, 4, spec="PCI 3.0 appendix I", doc="The word.")


class SlotIdentification(Capability):
    """A bridge to another chassis."""

    id = 0x04
    EXPANSION_SLOT = Reg(
        0x02, 1, fields={"SLOTS": Bits(4, 0), "FIRST": Bits(5)}, spec=_IDS, doc="Slots below it."
    )
    CHASSIS = Reg(0x03, 1, spec=_IDS, doc="The number of the chassis.")


class PciX(Capability):
    """PCI-X. What is called COMMAND is the secondary status in a bridge."""

    id = 0x07
    COMMAND = Reg(0x02, 2, spec=_IDS, doc="How long a read may be, how many may be open.")
    STATUS = Reg(
        0x04,
        4,
        fields={
            "FUNCTION": Bits(2, 0),
            "DEVICE": Bits(7, 3),
            "BUS": Bits(15, 8),
            "BITS_64": Bits(16),
            "MHZ_133": Bits(17),
        },
        spec=_IDS,
        doc="Where it is, and how fast it can be.",
    )


class HyperTransport(Capability):
    """HyperTransport; its type says what follows."""

    id = 0x08
    COMMAND = Reg(0x02, 2, fields={"TYPE": Bits(15, 11)}, spec=_IDS, doc="Which block this is.")


class DebugPort(Capability):
    """The debug port of a USB 2 controller."""

    id = 0x0A
    PORT = Reg(
        0x02,
        2,
        fields={"OFFSET": Bits(12, 0), "BAR": Bits(15, 13)},
        spec="EHCI 1.0 appendix C",
        doc="Which BAR it is behind, and where.",
    )


class Sata(Capability):
    """The index and data registers of a SATA controller."""

    id = 0x12
    SATACR0 = Reg(
        0x02,
        2,
        fields={"MINOR": Bits(3, 0), "MAJOR": Bits(7, 4)},
        spec="AHCI 1.3.1 2.4",
        doc="The revision.",
    )
    SATACR1 = Reg(
        0x04,
        4,
        fields={"BAR_LOCATION": Bits(3, 0), "BAR_OFFSET": Bits(23, 4)},
        spec="AHCI 1.3.1 2.4",
        doc="Which BAR they are behind, and where, in units of 4 bytes.",
    )


class AdvancedFeatures(Capability):
    """A function level reset for a conventional function."""

    id = 0x13
    LENGTH = Reg(0x02, 1, spec=f"{_PCIE} 7.9.21", doc="Bytes of this capability.")
    CAPABILITIES = Reg(
        0x03,
        1,
        fields={"TRANSACTIONS_PENDING": Bits(0), "FLR": Bits(1)},
        spec=f"{_PCIE} 7.9.21.2",
        doc="What it has.",
    )
    CONTROL = Reg(
        0x04, 1, fields={"INITIATE_FLR": Bits(0)}, spec=f"{_PCIE} 7.9.21.3", doc="Resets it."
    )
    STATUS = Reg(
        0x05,
        1,
        fields={"TRANSACTIONS_PENDING": Bits(0)},
        spec=f"{_PCIE} 7.9.21.4",
        doc="Whether requests of its own are still open.",
    )


class EnhancedAllocation(Capability):
    """Fixed addresses, in place of BARs. The entries follow."""

    id = 0x14
    length = 4
    ENTRIES = Reg(
        0x02, 1, fields={"COUNT": Bits(5, 0)}, spec=f"{_PCIE} 7.8.5.1", doc="How many entries."
    )


# -- all that are known

_STANDARD: tuple[type[Capability], ...] = (
    PowerManagement,
    VitalProductData,
    SlotIdentification,
    Msi,
    PciX,
    HyperTransport,
    Vendor,
    DebugPort,
    SubsystemId,
    Express,
    Msix,
    Sata,
    AdvancedFeatures,
    EnhancedAllocation,
)

_EXTENDED: tuple[type[ExtendedCapability], ...] = (
    Aer,
    VirtualChannel,
    SerialNumber,
    PowerBudgeting,
    RootComplexLink,
    EventCollectorEndpoints,
    VendorSpecific,
    Acs,
    Ari,
    Ats,
    SrIov,
    Multicast,
    PageRequest,
    ResizableBar,
    TphRequester,
    LatencyTolerance,
    SecondaryExpress,
    Pasid,
    DownstreamPortContainment,
    L1PmSubstates,
    PrecisionTime,
    DesignatedVendorSpecific,
    DataLinkFeature,
    DataObjectExchange,
)

CAPABILITIES: dict[int, type[Capability]] = {kind.id: kind for kind in _STANDARD}
"""The capabilities that are declared, by id."""

VC_WITH_MFVC = 0x0009
"""The other id of a virtual channel capability: in a function that has the multi-function one."""

EXTENDED_CAPABILITIES: dict[int, type[ExtendedCapability]] = {
    **{kind.id: kind for kind in _EXTENDED},
    VC_WITH_MFVC: VirtualChannel,
}
"""The extended ones, by id."""


def layout_of(head: int) -> tuple[type[Capability], int]:
    """The class of the capability whose first 4 bytes are `head`, and how many bytes it has.

    An id that is not declared has its head alone.
    """
    kind = CAPABILITIES.get(head & 0xFF, Capability)
    flags = head >> 16
    if kind is Msi:
        kind = msi_layout(flags)
    elif kind is Express:
        return kind, express_length(flags)
    return kind, kind.length
