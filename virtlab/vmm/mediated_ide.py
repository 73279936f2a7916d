"""A physical IDE disk, given to a VM with its DMA remapped in software.

      guest's table, in its RAM            the VMM's table, in the host's RAM
      [ gpa 0x105f00, 0x300      ]   ->    [ hpa 0x1a7f00, 0x100 ] [ hpa 0x12c000, 0x200 ]
      [ gpa 0x109000, 0x500, EOT ]   ->    [ hpa 0x133000, 0x500, EOT ]

The idea: the ports of the disk name no memory, so the guest has them directly, with no exit. The
bus master's ports trap. At START the VMM reads the guest's table once, writes one of its own with
an entry for each run of neighbouring frames, and points the card at that. How many pieces there
are costs no exit.

The rules that keep it simple: what the guest changes in its table after START is too late, for the
card never sees that table. An entry that names what the VM has not becomes `hole`, where no memory
answers. So the card itself stops there, with ERROR, at the moment at which a real one would.

Source: Programming Interface for Bus Master IDE Controller 1.0, 1.2, 2 and 3.1. Left out: a table
that becomes more than 8,191 entries ends in the hole.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from virtlab.devices.ata.bus_master import ACTIVE, START
from virtlab.devices.ata.function import BUS_MASTER_BAR, IdeFunction
from virtlab.devices.ata.registers import (
    BOUNDARY,
    BUS_MASTER,
    COMMAND_BLOCK,
    CONTROL_BLOCK,
    PRD,
    PRD_EOT,
    BusMasterRegisters,
)
from virtlab.errors import DmaFault
from virtlab.guest.ata_ports import PRIMARY, SECONDARY
from virtlab.guest.ata_regions import LIMIT, prd_table
from virtlab.memory import GuestMemory
from virtlab.vmm.dma_remap import Piece, Translator
from virtlab.vmm.forwarded import Forwarded
from virtlab.vmm.mediator import Mediator, bar_of, listen, stand_behind
from virtlab.vmm.pinning import Pins
from virtlab.vmm.virtual_machine import VirtualMachine

BAR = f"BAR{BUS_MASTER_BAR}"
ENTRIES = BOUNDARY // PRD.itemsize
"""Entries of the longest table: it may not cross a multiple of 64 KiB (1.2)."""

BMICOM, BMISTA, BMIDTP = (
    reg.offset
    for reg in (BusMasterRegisters.BMICOM, BusMasterRegisters.BMISTA, BusMasterRegisters.BMIDTP)
)


class MediatedMaster(Mediator):
    """Eight ports: the bus master of one channel. `hardware` is the physical one.

    `pointer` is BMIDTP as the guest wrote it; the VMM's own table lies at host-physical `table`.
    """

    def __init__(
        self,
        vm: VirtualMachine,
        virtual: IdeFunction,
        hardware: Forwarded,
        table: int,
        hole: int,
        pins: Pins | None = None,
        remapper: Translator | None = None,
    ) -> None:
        super().__init__(vm, virtual, LIMIT, pins, remapper)
        self.hardware = hardware
        self.table = table
        self.hole = hole
        self.pointer = 0

    # -- the two verbs, byte by byte

    def read(self, offset: int, size: int) -> int:
        """The guest's own pointer; anything else is what the card says."""
        return sum(self._read_byte(offset + n) << 8 * n for n in range(size))

    def _read_byte(self, offset: int) -> int:
        if offset >= BMIDTP:
            return self.pointer >> 8 * (offset - BMIDTP) & 0xFF
        value = self.hardware.read(offset, 1)
        self.settle()
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """Keep the pointer, look at START, pass on the rest."""
        for n in range(size):
            self._write_byte(offset + n, value >> 8 * n & 0xFF)

    def _write_byte(self, offset: int, value: int) -> None:
        if offset >= BMIDTP:
            shift = 8 * (offset - BMIDTP)
            pointer = self.pointer & ~(0xFF << shift) | value << shift
            self.pointer = pointer & BusMasterRegisters.BMIDTP.rw
            return
        if offset == BMICOM and value & START and not self.hardware.read(BMICOM, 1) & START:
            self._load()
        self.hardware.write(offset, 1, value)
        self.settle()

    def settle(self) -> None:
        """Unpin everything once the card is no longer active: whenever the guest looks."""
        if not self.hardware.read(BMISTA, 1) & ACTIVE:
            self.release()

    # -- the table

    def _load(self) -> None:
        """Write our table, pin what it names, and point the card at it."""
        pieces = self.translated()
        self.vm.ram.memory.write(self.table, prd_table(pieces))
        self.hold([piece for piece in pieces if piece.hpa != self.hole])
        self.hardware.write(BMIDTP, 4, self.table)

    def translated(self) -> list[Piece]:
        """The guest's table in host-physical pieces, up to its end or to the hole."""
        found: list[Piece] = []
        room = ENTRIES - 1
        try:
            for gpa, length in self._entries():
                have = self.remapper.reach(gpa, length)
                for start, n in ((gpa, have), (gpa + have, length - have)):
                    pieces = self.pieces(start, n) if n else []
                    room -= sum(map(_entries_of, pieces))
                    if room < 0:
                        self.refuse(start, n, "the table has become too long")
                        raise DmaFault("too long", start, n)
                    found += pieces
        except DmaFault:
            found.append(Piece(self.hole, PRD["count"].itemsize))
        return found

    def _entries(self) -> Iterator[tuple[int, int]]:
        """What the guest's table says, `(gpa, bytes)`: each entry read once, as the card reads.

        A count of 0 is 64 KiB, and bit 0 of neither is there (1.2).
        """
        entry, last = self.pointer, False
        end = (entry // BOUNDARY + 1) * BOUNDARY
        while not last:
            try:
                data = self.vm.ram.read(entry, PRD.itemsize)
            except DmaFault as fault:
                self.refuse(entry, PRD.itemsize, f"the table: {fault}")
                raise
            base, count, flags = np.frombuffer(data, PRD)[0].item()
            yield base & ~1, count & ~1 or BOUNDARY
            entry += PRD.itemsize
            last = bool(PRD_EOT.get(flags)) or entry + PRD.itemsize > end


def _entries_of(piece: Piece) -> int:
    """Entries that a piece takes: two where it crosses a multiple of 64 KiB."""
    return 1 + (piece.hpa % BOUNDARY + piece.length > BOUNDARY)


def _check_places(memory: GuestMemory, table: int, hole: int) -> None:
    """`ValueError` unless two tables fit at `table`, and nothing is at `hole`."""
    if table % BOUNDARY or not _has(memory, table, 2 * BOUNDARY):
        raise ValueError(f"two tables are 128 KiB of RAM at a multiple of 64 KiB, not {table:#x}")
    if hole % 2 or _has(memory, hole, 1) or _has(memory, hole + 1, 1):
        raise ValueError(f"a hole is an even address with no memory, not {hole:#x}")


def _has(memory: GuestMemory, hpa: int, length: int) -> bool:
    try:
        memory.offset(hpa, length)
    except DmaFault:
        return False
    return True


class MediatedIde:
    """The `physical` controller and its disks, behind the `virtual` one of `vm`. A `Device`.

    The ports of both channels are opened, their interrupts passed on; the bus masters stand behind
    BAR 4. `table` is host memory of the VMM's own, two blocks of 64 KiB; `hole` a host-physical
    address where no memory is.
    """

    def __init__(
        self,
        vm: VirtualMachine,
        virtual: IdeFunction,
        physical: IdeFunction,
        table: int,
        hole: int,
        pins: Pins | None = None,
        remapper: Translator | None = None,
    ) -> None:
        _check_places(vm.ram.memory, table, hole)
        bar = bar_of(vm, physical, BAR)
        first, second = (
            MediatedMaster(
                vm,
                virtual,
                Forwarded(bar.space, bar.base + BUS_MASTER * n),
                table + BOUNDARY * n,
                hole,
                pins,
                remapper,
            )
            for n in range(2)
        )
        self.masters = (first, second)
        stand_behind(virtual, BAR, self)
        for number, where in enumerate((PRIMARY, SECONDARY)):
            vm.assign_ports(where.command, COMMAND_BLOCK)
            vm.assign_ports(where.control, CONTROL_BLOCK)
            listen(physical.channels[number].irq, virtual.channels[number].irq.set)

    def read(self, offset: int, size: int) -> int:
        """A register of one of the bus masters."""
        return self.masters[offset // BUS_MASTER].read(offset % BUS_MASTER, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The same, written."""
        self.masters[offset // BUS_MASTER].write(offset % BUS_MASTER, size, value)
