"""The registers of a remapping unit: 4 KiB, declared once for the unit and for its driver.

    000 VER  CAP  ECAP        what it is, what it can      080 IQH IQT IQA ICS IE..   the queue
    018 GCMD GSTS RTADDR CCMD commands and their status    0B8 IRTA                   interrupts
    034 FSTS FECTL FE..       faults: status, interrupt    0F0 IVA IOTLB              at ECAP.IRO
    064 PMEN PLM.. PHM..      protected memory             220 FRCD0 .. FRCD7         at CAP.FRO

The idea: `GCMD` is written, `GSTS` is read. A driver writes one bit of the first and waits for the
same bit of the second.

The rule that keeps it simple: this file only declares, and `capability_registers` the first three.
What a write does is in `vtd`, `faults`, `invalidation` and `queue`.

Source: VT-d 3.0, 10.4.1 to 10.4.29; a later revision for IQERCD and CAP.ESRTPS. Left out: advanced
fault logging, page requests, MTRRs, virtual commands.
"""

from __future__ import annotations

from virtlab.iommu.capability_registers import CapabilityRegisters
from virtlab.iommu.layouts import FAULT_RECORD
from virtlab.registers import Reg
from virtlab.wire import Bits, all_ones

BASE = 0xFED9_0000
"""Where a PC has it (gpa)."""

IOTLB_OFFSET, FAULT_OFFSET = 0x0F0, 0x220
"""Offsets that CAP and ECAP tell: of IVA, and of the first fault record."""

MAX_RECORDS = 8
"""Fault records that there is room for. How many are used is CAP.NFR, plus 1."""

RECORD_SIZE = 16
"""Bytes of a fault record."""

_PAGES = all_ones(8) & ~0xFFF
_EVENT_DATA, _EVENT_ADDRESS = 0xFFFF, all_ones(4) & ~0x3

_COMMANDS = {
    "CFI": Bits(23),  # let compatibility-format interrupts through
    "SIRTP": Bits(24),  # take IRTA
    "IRE": Bits(25),  # remap interrupts
    "QIE": Bits(26),  # use the invalidation queue
    "WBF": Bits(27),  # flush the write buffers
    "EAFL": Bits(28),
    "SFL": Bits(29),
    "SRTP": Bits(30),  # take RTADDR
    "TE": Bits(31),  # translate
}
_STATUS = {
    "CFIS": Bits(23),
    "IRTPS": Bits(24),
    "IRES": Bits(25),
    "QIES": Bits(26),
    "WBFS": Bits(27),
    "AFLS": Bits(28),
    "FLS": Bits(29),
    "RTPS": Bits(30),
    "TES": Bits(31),
}
_EVENT = {"IP": Bits(30), "IM": Bits(31)}  # pending; masked


def _record(number: int) -> Reg:
    return Reg(
        FAULT_OFFSET + RECORD_SIZE * number,
        RECORD_SIZE,
        w1c=FAULT_RECORD.F.mask,
        fields=FAULT_RECORD.fields,
        spec="VT-d 10.4.14",
        doc="One fault that was recorded; a 1 written to F frees it.",
    )


class VtdRegisters(CapabilityRegisters):
    """What every remapping unit has. `VtdUnit` is made of them."""

    length = 0x1000

    GCMD = Reg(
        0x018,
        4,
        rw=all_ones(4),
        fields=_COMMANDS,
        access="w",
        spec="VT-d 10.4.4",
        doc="Commands. One bit changes in a write; the driver then waits for it in GSTS.",
    )
    GSTS = Reg(
        0x01C,
        4,
        fields=_STATUS,
        access="r",
        spec="VT-d 10.4.5",
        doc="What has been done of the commands.",
    )
    RTADDR = Reg(
        0x020,
        8,
        rw=_PAGES,
        fields={"TTM": Bits(11, 10), "RTA": Bits(63, 12)},
        spec="VT-d 10.4.6",
        doc="Where the root table is. It counts from the next SRTP on. TTM stays 0: legacy mode.",
    )
    CCMD = Reg(
        0x028,
        8,
        rw=0xE000_0003_FFFF_FFFF,
        fields={
            "DID": Bits(15, 0),
            "SID": Bits(31, 16),
            "FM": Bits(33, 32),
            "CAIG": Bits(60, 59),  # what was done
            "CIRG": Bits(62, 61),  # what is asked for
            "ICC": Bits(63),  # do it; 0 when done
        },
        spec="VT-d 10.4.7",
        doc="Invalidates the context cache.",
    )

    FSTS = Reg(
        0x034,
        4,
        w1c=0x75,
        fields={
            "PFO": Bits(0),  # faults were lost
            "PPF": Bits(1),  # a record is in use
            "AFO": Bits(2),
            "APF": Bits(3),
            "IQE": Bits(4),  # the queue stopped
            "ICE": Bits(5),
            "ITE": Bits(6),
            "FRI": Bits(15, 8),  # the first record in use, where PPF is set
        },
        spec="VT-d 10.4.9",
        doc="Faults that wait for software.",
    )
    FECTL = Reg(
        0x038,
        4,
        reset=1 << 31,
        rw=1 << 31,
        fields=_EVENT,
        spec="VT-d 10.4.10",
        doc="Masks the fault event.",
    )
    FEDATA = Reg(0x03C, 4, rw=_EVENT_DATA, spec="VT-d 10.4.11", doc="Its message: the data.")
    FEADDR = Reg(0x040, 4, rw=_EVENT_ADDRESS, spec="VT-d 10.4.12", doc="Its message: where to.")
    FEUADDR = Reg(0x044, 4, rw=all_ones(4), spec="VT-d 10.4.13", doc="The upper half of that.")

    PMEN = Reg(
        0x064,
        4,
        rw=1 << 31,
        fields={"PRS": Bits(0), "EPM": Bits(31)},
        spec="VT-d 10.4.16",
        doc="Protects two regions of memory from DMA.",
    )
    PLMBASE = Reg(0x068, 4, rw=0xFFE0_0000, spec="VT-d 10.4.17", doc="Low region: first byte.")
    PLMLIMIT = Reg(0x06C, 4, rw=0xFFE0_0000, spec="VT-d 10.4.18", doc="Low region: last 2 MiB.")
    PHMBASE = Reg(0x070, 8, rw=all_ones(8) & ~0x1F_FFFF, spec="VT-d 10.4.19", doc="High region.")
    PHMLIMIT = Reg(
        0x078, 8, rw=all_ones(8) & ~0x1F_FFFF, spec="VT-d 10.4.20", doc="Its last 2 MiB."
    )

    IQH = Reg(
        0x080,
        8,
        fields={"QH": Bits(18, 4)},
        access="r",
        spec="VT-d 10.4.21",
        doc="The descriptor that the unit takes next.",
    )
    IQT = Reg(
        0x088,
        8,
        rw=0x7_FFF0,
        fields={"QT": Bits(18, 4)},
        spec="VT-d 10.4.22",
        doc="The descriptor that software writes next: the doorbell of the queue.",
    )
    IQA = Reg(
        0x090,
        8,
        rw=_PAGES | 0x7,
        fields={"QS": Bits(2, 0), "DW": Bits(11), "IQA": Bits(63, 12)},
        spec="VT-d 10.4.23",
        doc="Where the queue is: 2**QS pages. DW stays 0: wide descriptors need scalable mode.",
    )
    ICS = Reg(
        0x09C,
        4,
        w1c=1,
        fields={"IWC": Bits(0)},
        spec="VT-d 10.4.24",
        doc="A wait descriptor that asked for an interrupt is done.",
    )
    IECTL = Reg(
        0x0A0,
        4,
        reset=1 << 31,
        rw=1 << 31,
        fields=_EVENT,
        spec="VT-d 10.4.25",
        doc="Masks the invalidation event.",
    )
    IEDATA = Reg(0x0A4, 4, rw=_EVENT_DATA, spec="VT-d 10.4.26", doc="Its message: the data.")
    IEADDR = Reg(0x0A8, 4, rw=_EVENT_ADDRESS, spec="VT-d 10.4.27", doc="Its message: where to.")
    IEUADDR = Reg(0x0AC, 4, rw=all_ones(4), spec="VT-d 10.4.28", doc="The upper half of that.")
    IQERCD = Reg(
        0x0B0,
        8,
        fields={"IQEI": Bits(3, 0), "ITESID": Bits(47, 32), "ICESID": Bits(63, 48)},
        access="r",
        spec="VT-d, IQERCD_REG",
        doc="Why the queue stopped: a `QueueError`.",
    )
    IRTA = Reg(
        0x0B8,
        8,
        rw=_PAGES | 0x80F,
        fields={"S": Bits(3, 0), "EIME": Bits(11), "IRTA": Bits(63, 12)},
        spec="VT-d 10.4.29",
        doc="Where the interrupt table is: 2**(S + 1) entries. It counts from the next SIRTP on.",
    )

    IVA = Reg(
        IOTLB_OFFSET,
        8,
        rw=_PAGES | 0x7F,
        fields={"AM": Bits(5, 0), "IH": Bits(6), "ADDR": Bits(63, 12)},
        access="w",
        spec="VT-d 10.4.8.2",
        doc="The pages of the next page-selective invalidation: 2**AM of them.",
    )
    IOTLB = Reg(
        IOTLB_OFFSET + 8,
        8,
        rw=0xB003_FFFF_0000_0000,
        fields={
            "DID": Bits(47, 32),
            "DW": Bits(48),
            "DR": Bits(49),
            "IAIG": Bits(58, 57),  # what was done
            "IIRG": Bits(61, 60),  # what is asked for
            "IVT": Bits(63),  # do it; 0 when done
        },
        spec="VT-d 10.4.8.1",
        doc="Invalidates the IOTLB.",
    )

    FRCD0 = _record(0)
    FRCD1 = _record(1)
    FRCD2 = _record(2)
    FRCD3 = _record(3)
    FRCD4 = _record(4)
    FRCD5 = _record(5)
    FRCD6 = _record(6)
    FRCD7 = _record(7)
