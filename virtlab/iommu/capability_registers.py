"""The first three registers of a remapping unit: which version it is, and what it can do.

The idea: nothing is assumed of a unit. Its driver asks first, for the depth of tables, for the
sizes of pages, and where the other registers are. `capabilities` gives these bits plain names.

Source: VT-d 3.0, 10.4.1 to 10.4.3; a later revision for CAP.ESRTPS and ESIRTPS. Left out: what only
scalable mode has, but for its own bit.
"""

from __future__ import annotations

from virtlab.registers import Reg, RegisterFile
from virtlab.wire import Bits


class CapabilityRegisters(RegisterFile):
    """Version, capabilities, and more capabilities. All are for reading."""

    VER = Reg(
        0x000,
        4,
        reset=0x10,
        fields={"MIN": Bits(3, 0), "MAX": Bits(7, 4)},
        access="r",
        spec="VT-d 10.4.1",
        doc="Version of the architecture: 1.0 for legacy mode.",
    )
    CAP = Reg(
        0x008,
        8,
        fields={
            "ND": Bits(2, 0),  # 2**(4 + 2 ND) domains
            "AFL": Bits(3),
            "RWBF": Bits(4),  # write buffers must be flushed by software
            "PLMR": Bits(5),
            "PHMR": Bits(6),
            "CM": Bits(7),  # what is not present may be cached too
            "SAGAW": Bits(12, 8),  # bit 1: 3 levels, bit 2: 4, bit 3: 5
            "MGAW": Bits(21, 16),  # bits of an address, less 1
            "ZLR": Bits(22),
            "FRO": Bits(33, 24),  # of the first fault record, in 16 bytes
            "SLLPS": Bits(37, 34),  # bit 0: 2 MiB pages, bit 1: 1 GiB
            "PSI": Bits(39),  # page-selective invalidation
            "NFR": Bits(47, 40),  # fault records, less 1
            "MAMV": Bits(53, 48),  # largest address mask
            "DWD": Bits(54),
            "DRD": Bits(55),
            "FL1GP": Bits(56),
            "PI": Bits(59),  # posted interrupts
            "FL5LP": Bits(60),
            "ESIRTPS": Bits(62),
            "ESRTPS": Bits(63),  # SRTP invalidates by itself
        },
        access="r",
        spec="VT-d 10.4.2",
        doc="What the unit can do.",
    )
    ECAP = Reg(
        0x010,
        8,
        fields={
            "C": Bits(0),  # tables are read through the caches
            "QI": Bits(1),
            "DT": Bits(2),  # device TLBs
            "IR": Bits(3),
            "EIM": Bits(4),  # x2APIC
            "PT": Bits(6),  # pass-through
            "SC": Bits(7),  # snoop control
            "IRO": Bits(17, 8),  # of IVA, in 16 bytes
            "MHMV": Bits(23, 20),  # largest index mask
            "SMTS": Bits(43),  # scalable mode
        },
        access="r",
        spec="VT-d 10.4.3",
        doc="What the unit can do, continued.",
    )
