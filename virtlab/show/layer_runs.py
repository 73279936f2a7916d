"""One task, `write(fd, data)`, with the VMM at each of the three places: run, and counted.

The idea: four virtual machines that differ in one line. The application, the kernel, the volume and
the disk are the same; what differs is who takes the call, or which block driver the kernel has.

    syscall     the VMM's shadow routines take SYSCALL          the kernel never runs
    hypercall   a para-virtual block driver calls the VMM       the kernel has another driver
    dma, pio    the kernel's own driver, its ports trap         nothing is changed

The rule that keeps it simple: `experiment` is a pure function from a `Choice` to `Counts`, and they
are read from the trace. `closed_form` says what they ought to be, and a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from virtlab import machine
from virtlab.backends import SECTOR
from virtlab.guest.ata import AtaDriver
from virtlab.guest.blocks import DmaBlocks, HypercallBlocks, PioBlocks
from virtlab.guest.files import Blocks, FlatFiles
from virtlab.guest.kernel import BUFFER, BYTES_COPIED, TABLE, VOLUME, Application, Kernel
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.memory import PAGE
from virtlab.show.cost import price
from virtlab.trace import Trace
from virtlab.vmm.counted_disk import CountedDisk
from virtlab.vmm.hypercalls import BlockService
from virtlab.vmm.syscalls import ShadowRoutines

Way = Literal["syscall", "hypercall", "dma", "pio"]

WAYS: tuple[tuple[str, Way], ...] = (
    ("a. at the system call", "syscall"),
    ("b. at the driver call", "hypercall"),
    ("c. at the I/O operation, DMA", "dma"),
    ("c. at the I/O operation, PIO", "pio"),
)
"""Where the VMM stands, by the words in the list."""

SIZES = (512, 4096, 16384, 65536)
"""Bytes that can be written."""

FILE, FILE_SECTORS = b"notes", 128
"""The file: 64 KiB, all of it in use, so that a write changes no length."""

IDE = (0x8086, 0x7010)

PIO_COMMAND, PIO_SECTOR, DMA_COMMAND = 8, 257, 15
"""Port accesses of the ATA driver that polls: a PIO command (DEVICE, ALTERNATE STATUS, five more
registers, STATUS) and each sector of it (256 words, STATUS); a DMA command, whatever its size."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do: write `size` bytes, with the VMM at `way`."""

    way: Way = "pio"
    size: int = PAGE


class Counts(NamedTuple):
    """What a run has cost, by events of the trace. `switches` are world switches."""

    exits: int
    system_calls: int
    copies: int
    bytes_copied: int
    switches: int

    @property
    def priced(self) -> dict[str, float]:
        """The counts by the names of `COSTS`."""
        pages = self.bytes_copied / PAGE
        return {"vm_exit": self.exits, "system_call": self.system_calls, "copy_page": pages}

    @property
    def ns(self) -> float:
        """About what this costs on real hardware."""
        return price(self.priced)


def counts_of(trace: Trace) -> Counts:
    """What the trace has counted since it was cleared. An exit is two world switches."""
    counts = trace.counts
    switches = 2 * counts["exit"] + counts["world switch"]
    return Counts(
        counts["exit"], counts["system call"], counts["copy"], counts[BYTES_COPIED], switches
    )


def closed_form(way: Way, size: int) -> Counts:
    """What writing `size` bytes, whole sectors of at most 64 KiB, must cost.

    Exits: 1 at the system call; 1 at the driver call; 15 by DMA; 8 + 257 n by PIO, n = size / 512.
    Copies: the disk's, one for each request or one for each sector of PIO, and the kernel's own.
    """
    sectors = size // SECTOR
    exits = {"syscall": 1, "hypercall": 1, "dma": DMA_COMMAND}.get(
        way, PIO_COMMAND + PIO_SECTOR * sectors
    )
    kernel = 0 if way == "syscall" else 1
    disk = sectors if way == "pio" else 1
    return Counts(exits, kernel, kernel + disk, size * (kernel + 1), 2 * exits)


def volume_on(pc: machine.PcDevices) -> CountedDisk:
    """Put a volume with the file `notes` on the machine's disk, and count what moves."""
    files = FlatFiles.format(pc.disk, VOLUME.start, VOLUME.size)
    files.create(FILE, FILE_SECTORS, FILE_SECTORS * SECTOR)
    counted = CountedDisk(pc.disk, pc.trace)
    drive = pc.cards.ide.drives[0][0]
    drive.disk = drive.medium.disk = counted
    return counted


class Rig(NamedTuple):
    """A virtual machine with an application in it, ready to write."""

    vm: machine.PcVm
    disk: CountedDisk
    kernel: Kernel
    application: Application


def rig(way: Way) -> Rig:
    """A fresh virtual machine with the VMM at `way`."""
    vm = machine.lesson_vm()
    disk = volume_on(vm)
    kernel = Kernel(vm.cpu, _blocks(way, vm, disk), vm.trace)
    syscall = kernel.entry
    if way == "syscall":
        syscall = ShadowRoutines(vm.vm, disk, kernel.entry).syscall
    return Rig(vm, disk, kernel, Application(vm.cpu, syscall))


def _blocks(way: Way, vm: machine.PcVm, disk: CountedDisk) -> Blocks:
    """The block driver of the guest's kernel."""
    if way == "hypercall":
        return HypercallBlocks(vm.cpu, BlockService(vm.vm, disk).vmcall, BUFFER)
    base = find(enumerate_pci(vm.cpu), *IDE).bar(4)
    driver = AtaDriver(vm.cpu, bus_master=base, table=TABLE)
    driver.mute()
    return DmaBlocks(vm.cpu, driver, BUFFER) if way == "dma" else PioBlocks(driver)


def pattern(size: int) -> bytes:
    """Bytes to write."""
    return bytes(at % 251 for at in range(size))


def wrote(made: Rig, size: int) -> Counts:
    """Let the application open the file and write; what the write alone has cost."""
    descriptor = made.application.open(FILE)
    made.vm.trace.clear()
    done = made.application.write(descriptor, pattern(size))
    if done != size:
        raise ValueError(f"the application wrote {done} bytes, not {size}")
    return counts_of(made.vm.trace)


@cache
def experiment(choice: Choice) -> Counts:
    """Write on a fresh virtual machine, and count."""
    return wrote(rig(choice.way), choice.size)
