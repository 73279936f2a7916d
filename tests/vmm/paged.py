"""A VM whose guest has paging on, by EPT or by a shadow, and what its tables say to begin with.

      gpa 0x1000   level 4     0x2000   level 3     0x3000   level 2     0x4000   level 1
          0x5000   level 4, another root over the same level 3

The first 24 pages are mapped to themselves, so the guest reaches its own tables; the next eight
are not present. Page `DEVICE` is the virtual latch.
"""

from tests.vmm.rig import MMIO, Host, Latch
from virtlab.memory import PAGE, GuestMemory
from virtlab.vmm.frames import Frames
from virtlab.vmm.guest_paging import Paging4Level, Paging32
from virtlab.vmm.nested_paging import NestedPaging
from virtlab.vmm.paged_cpu import turn_on
from virtlab.vmm.shadow_paging import ShadowPaging
from virtlab.vmm.table_memory import PlainMemory
from virtlab.vmm.virtual_machine import VirtualMachine

RAM = 32
ROOT, OTHER_ROOT, LEAVES = 0x1000, 0x5000, 0x4000
FIRST, LAST = 8, 24
"""Pages that hold no table and are mapped, from `FIRST` to before `LAST`."""

DEVICE = 40

ENTRIES = {
    0x1000: 0x2007,
    0x5000: 0x2007,
    0x2000: 0x3007,
    0x3000: 0x4007,
    LEAVES + 8 * DEVICE: MMIO | 7,
    **{LEAVES + 8 * page: page * PAGE | 7 for page in range(LAST)},
}
ENTRIES_32 = {
    0x1000: 0x4007,
    0x5000: 0x4007,
    LEAVES + 4 * DEVICE: MMIO | 7,
    **{LEAVES + 4 * page: page * PAGE | 7 for page in range(LAST)},
}


class Paged:
    """`kind` is "ept" or "shadow"; `frames` bounds the pool of the shadow."""

    def __init__(self, kind, levels=4, frames=32):
        self.host = Host()
        self.vm = VirtualMachine(self.host, self.host.frames, RAM * PAGE, paging=kind)
        self.latch = Latch()
        self.vm.memory.map(MMIO, 2 * PAGE, self.latch, "virtual latch", width=4)
        size = 8 if levels == 4 else 4
        for gpa, entry in (ENTRIES if levels == 4 else ENTRIES_32).items():
            self.vm.ram.write(gpa, entry.to_bytes(size, "little"))
        self.guest = (Paging4Level if levels == 4 else Paging32)(None, ROOT)
        if kind == "ept":
            self.paging = NestedPaging(self.guest, self.vm.tables, self.vm.vmm)
        else:
            pool = Frames(self.host.ram, 0, frames)
            self.paging = ShadowPaging(self.guest, self.vm.tables, pool, self.vm.vmm)
        self.cpu = turn_on(self.vm, self.paging)
        self.exits = self.vm.vmm.exits

    def entry(self, page):
        """A leaf entry as it is now, by its page's number."""
        at = LEAVES + self.guest.ENTRY * page
        return int.from_bytes(self.vm.ram.read(at, self.guest.ENTRY), "little")

    @property
    def ram(self):
        return self.vm.ram.read(0, RAM * PAGE)


class RamOnly(PlainMemory):
    """Tables where there is no RAM cannot be reached: a VMM's way to take them for not present."""

    def load(self, gpa, size):
        return super().load(gpa, size) if gpa < RAM * PAGE else None

    def store(self, gpa, size, value):
        return gpa < RAM * PAGE and super().store(gpa, size, value)


class Plain:
    """The same guest on a machine of its own: what both must look like. It is its own `cpu`."""

    def __init__(self):
        self.memory = GuestMemory(RAM * PAGE)
        for gpa, entry in ENTRIES.items():
            self.memory.store(gpa, 8, entry)
        self.guest = Paging4Level(RamOnly(self.memory), ROOT)
        self.cpu = self

    def load(self, gva, size):
        gpa = self.guest.translate(gva, write=False)
        if isinstance(gpa, int):
            return self.memory.load(gpa, size) if gpa < RAM * PAGE else (1 << 8 * size) - 1
        self.guest.deliver(gpa)
        return 0

    def store(self, gva, value, size):
        gpa = self.guest.translate(gva, write=True)
        if not isinstance(gpa, int):
            self.guest.deliver(gpa)
        elif gpa < RAM * PAGE:
            self.memory.store(gpa, size, value)

    def set_cr3(self, value):
        self.guest.cr3 = value

    def invlpg(self, gva):
        pass

    @property
    def ram(self):
        return self.memory.bytes.tobytes()


def put(machine, page, entry):
    """Write a leaf entry before the guest runs."""
    size = machine.guest.ENTRY
    machine.vm.ram.write(LEAVES + size * page, entry.to_bytes(size, "little"))
