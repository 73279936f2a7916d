"""A remapping unit's registers, as its driver reaches them.

    put GCMD <- GSTS's switches, one of them changed        get GSTS until it says so

The idea: a command is a bit of GCMD that is written once, and a bit of GSTS that is waited for. So
`command` is most of what a driver does with registers.

The rule that keeps it simple: a register is named by its declaration. Where the unit itself says at
which offset two groups of them are (CAP.FRO, ECAP.IRO), `offset` asks it.

Source: VT-d 3.0, 10.4.2 to 10.4.5, 10.4.16, 11.4.1 (write buffers). Left out: a unit that does not
see the processor's caches (ECAP.C is 0): on a real machine each write of a table is then followed
by a CLFLUSH of its line; no Cpu of ours keeps memory from a device.
"""

from __future__ import annotations

from virtlab.cpu import Cpu
from virtlab.guest.virtio_transport import poll
from virtlab.iommu.capabilities import Capabilities
from virtlab.iommu.registers import FAULT_OFFSET, IOTLB_OFFSET, VtdRegisters
from virtlab.registers import Reg
from virtlab.wire import Bits, all_ones

GCMD, GSTS, PMEN = VtdRegisters.GCMD, VtdRegisters.GSTS, VtdRegisters.PMEN

SWITCHES = GCMD.TE.mask | GCMD.EAFL.mask | GCMD.QIE.mask | GCMD.IRE.mask | GCMD.CFI.mask
"""Commands that stay as they are set. The others are orders: 1 once, and not again (10.4.4)."""

_AT_IRO = (VtdRegisters.IVA, VtdRegisters.IOTLB)


class VtdFailed(Exception):
    """The unit is not there, refused, or did not answer. The message says which."""


class UnitRegisters:
    """The registers at `base` (gpa), through `cpu`.

    `host_width` is what the DMAR table says of the machine's addresses, in bits. `VtdFailed` if no
    unit is there.
    """

    def __init__(self, cpu: Cpu, base: int, host_width: int = 52) -> None:
        self.cpu, self.base = cpu, base
        version = self.get(VtdRegisters.VER)
        if version in (0, all_ones(4)):
            raise VtdFailed(f"there is no remapping unit at {base:#x}")
        self.cap, self.ecap = self.get(VtdRegisters.CAP), self.get(VtdRegisters.ECAP)
        self.capabilities = Capabilities.of(self.cap, self.ecap, host_width)

    # -- one register

    def offset(self, reg: Reg) -> int:
        """Where a register is: two groups of them are where the unit says."""
        if reg in _AT_IRO:
            return reg.offset - IOTLB_OFFSET + (VtdRegisters.ECAP.IRO.get(self.ecap) << 4)
        if reg.offset >= FAULT_OFFSET:
            return reg.offset - FAULT_OFFSET + (VtdRegisters.CAP.FRO.get(self.cap) << 4)
        return reg.offset

    def get(self, reg: Reg) -> int:
        """A register's value: one load, or, of 16 bytes, two."""
        at, width = self.base + self.offset(reg), min(reg.width, 8)
        words = range(0, reg.width, width)
        return sum(self.cpu.load(at + n, width) << 8 * n for n in words)

    def put(self, reg: Reg, value: int) -> None:
        """Write a register of 4 or 8 bytes."""
        self.cpu.store(self.base + self.offset(reg), value, reg.width)

    def has(self, reg: Reg, bit: Bits) -> bool:
        """Whether one bit is set, by a load of the 4 bytes that it is in."""
        gpa, number = self._word(reg, bit)
        return bool(self.cpu.load(gpa, 4) >> number & 1)

    def free(self, reg: Reg, bit: Bits) -> None:
        """Write a 1 to one bit, and touch only the 4 bytes that it is in."""
        gpa, number = self._word(reg, bit)
        self.cpu.store(gpa, 1 << number, 4)

    def _word(self, reg: Reg, bit: Bits) -> tuple[int, int]:
        """Where the 4 bytes are that a bit is in, and its number there."""
        word, number = divmod(bit.lo, 32)
        return self.base + self.offset(reg) + 4 * word, number

    def await_bit(self, reg: Reg, bit: Bits, value: int) -> None:
        """Wait until a field has this value. `VtdFailed` if it never does."""
        if not poll(self.cpu, lambda: bit.get(self.get(reg)) == value):
            raise VtdFailed(f"{reg.name}[{bit}] does not become {value}")

    # -- commands

    def command(self, bit: Bits, on: bool = True) -> None:
        """One bit of GCMD, all switches else as they are; then the same bit of GSTS."""
        switches = self.get(GSTS) & SWITCHES & ~bit.mask
        self.put(GCMD, switches | (bit.mask if on else 0))
        self.await_bit(GSTS, bit, int(on))

    def is_on(self, bit: Bits) -> bool:
        """Whether GSTS shows the bit."""
        return bool(bit.get(self.get(GSTS)))

    def flush_writes(self) -> None:
        """Where the unit has write buffers (CAP.RWBF), empty them. GSTS.WBFS is 1 meanwhile."""
        if self.capabilities.write_buffers:
            self.put(GCMD, self.get(GSTS) & SWITCHES | GCMD.WBF.mask)
            self.await_bit(GSTS, GSTS.WBFS, 0)

    def unprotect(self) -> None:
        """Give up the protected regions that firmware may have set up (10.4.16)."""
        if self.capabilities.protected_memory and self.get(PMEN):
            self.put(PMEN, 0)
            self.await_bit(PMEN, PMEN.PRS, 0)
