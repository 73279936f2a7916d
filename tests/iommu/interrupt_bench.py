"""An interrupt remapper with a table, and the entries and messages of its tests."""

from virtlab.interrupts import Interrupt, Msi
from virtlab.iommu.interrupt_remapping import CHECK_ID, InterruptRemapper
from virtlab.iommu.layouts import DST_XAPIC, IRTE, IRTE_POSTED, REQUEST_ADDRESS
from virtlab.memory import GuestMemory

TABLE, DESCRIPTOR = 0x4000, 0x3040
DISK, NIC = 0x0018, 0x0320
"""Source ids: 00:03.0 and 03:04.0."""


def entry(vector=0x41, processor=2, sid=DISK, svt=CHECK_ID, **fields):
    """A good entry of the remapped form, xAPIC."""
    fields = {"P": 1, "V": vector, "SID": sid, "SVT": svt, **fields}
    return DST_XAPIC.put(IRTE.pack(**fields), processor)


def posted(descriptor=DESCRIPTOR, vector=0x61, sid=DISK, svt=CHECK_ID, **fields):
    """A good entry of the posted form."""
    low, high = descriptor >> 6 & 0x3FF_FFFF, descriptor >> 32
    return IRTE_POSTED.pack(P=1, IM=1, VV=vector, PDAL=low, PDAH=high, SID=sid, SVT=svt, **fields)


def request(index, subhandle=None, high=0):
    """The message that names entry `index`; with a subhandle, SHV is set."""
    address = REQUEST_ADDRESS.pack(
        FEE=0xFEE, FORMAT=1, HANDLE=index & 0x7FFF, HANDLE_15=index >> 15,
        SHV=subhandle is not None,
    )  # fmt: skip
    return Msi(address | high << 32, subhandle or 0)


class Bench:
    """A remapper with a table of 256 entries, and what came out of it."""

    def __init__(self, irta=TABLE | 7, **how):
        self.memory = GuestMemory(0x10000)
        self.faults, self.delivered = [], []
        self.unit = InterruptRemapper(
            self.memory, lambda *fault: self.faults.append(fault), self.delivered.append, **how
        )
        self.unit.set_table(irta)
        self.unit.enabled = True

    def put(self, index, value):
        self.memory.store(TABLE + 16 * index, 16, value)

    def send(self, index, sid=DISK, **how):
        """Send it: what was delivered, or the reason that was given."""
        self.delivered.clear()
        outcome = self.unit.send(sid, request(index, **how))
        assert (outcome.message is None) == (not self.delivered)
        return outcome.reason or (Interrupt.of(self.delivered[0]) if self.delivered else None)
