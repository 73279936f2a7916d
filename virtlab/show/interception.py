"""What interception costs, measured: one text by six ways, and a guest with page tables of its own.

      the UART at ports     the bit is 1    an exit an access        the bit is 0    none
      the UART in memory    entry invalid   an exit an access        entry present   none

The idea: a lesson asks for a number, and this file makes a fresh machine, runs the guest and
counts. `paged` is a guest that has turned on its own paging: it writes its tables itself, with
ordinary stores, and then sets CR3.

The rule that keeps it simple: it counts exits, and nothing is computed beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from virtlab import machine
from virtlab.guest.uart import UartDriver
from virtlab.machine import PcVm
from virtlab.memory import PAGE
from virtlab.vmm.guest_paging import Paging32
from virtlab.vmm.nested_paging import NestedPaging
from virtlab.vmm.page_entries import RW, P
from virtlab.vmm.paged_cpu import PagedCpu, Paging, turn_on
from virtlab.vmm.shadow import ShadowPageTable
from virtlab.vmm.shadow_paging import ShadowPaging
from virtlab.vmm.table_memory import BehindTables

Way = Literal["shadow", "ept"]

WAYS: dict[str, tuple[str, bool, Way]] = {
    "port, bit 1": ("port", False, "ept"),
    "port, bit 0": ("port", True, "ept"),
    "memory, shadow entry invalid": ("memory", False, "shadow"),
    "memory, shadow entry present": ("memory", True, "shadow"),
    "memory, EPT entry invalid": ("memory", False, "ept"),
    "memory, EPT entry present": ("memory", True, "ept"),
}
"""How a guest reaches its UART: by which space, whether directly, under which tables."""


def text_exits(way: str, text: bytes) -> int:
    """The exits of a polled `text` by one of `WAYS`, in a fresh virtual machine."""
    space, direct, paging = WAYS[way]
    guest = machine.lesson_vm(paging=paging)
    if space == "port":
        driver = UartDriver.at_ports(guest.cpu)
    else:
        driver = UartDriver.in_memory(guest.cpu, machine.UART2, machine.UART2_SHIFT)
    if direct:
        guest.vm.assign_ports(machine.UART, machine.UART_PORTS)
        guest.vm.assign_memory(machine.UART2, machine.UART2, PAGE)
    for byte in text:
        driver.put(byte)
    return guest.exits


DIRECTORY, LOW_TABLE, DEVICE_TABLE = 0x1_0000, 0x1_1000, 0x1_2000
"""Where the guest puts its tables (gpa)."""
MAPPED = 160
"""Pages from 0 on that the guest maps to themselves: all of its low RAM."""
DEVICE = 0x40_0000
"""The gva at which the guest sees its second UART."""


class Paged(NamedTuple):
    """A guest with paging on: its machine, its vCPU, and how the VMM deals with its tables."""

    guest: PcVm
    cpu: PagedCpu
    paging: Paging

    @property
    def exits(self) -> int:
        """How often it has exited."""
        return self.guest.exits


def paged(way: Way) -> Paged:
    """A guest that has written its page tables, on a fresh board; `MOV CR3` is still to come."""
    host = machine.lesson_pc()
    guest = machine.lesson_vm(host, paging=way)
    write_tables(guest)
    tables, vmm = guest.vm.tables, guest.vm.vmm
    own = Paging32(BehindTables(tables))
    paging: Paging
    if isinstance(tables, ShadowPageTable):
        paging = ShadowPaging(own, tables, host.frames, vmm)
    else:
        paging = NestedPaging(own, tables, vmm)
    return Paged(guest, turn_on(guest.vm, paging), paging)


def write_tables(guest: PcVm) -> None:
    """The guest's own work: a directory, a table of its RAM, and one of its device."""
    flags = P.mask | RW.mask
    for slot, table in enumerate((LOW_TABLE, DEVICE_TABLE)):
        guest.cpu.store(DIRECTORY + 4 * slot, table | flags)
    for page in range(MAPPED):
        guest.cpu.store(entry_of(page * PAGE), page * PAGE | flags)
    guest.cpu.store(DEVICE_TABLE, machine.UART2 | flags)


def entry_of(gva: int) -> int:
    """Where the guest's entry for a page of its RAM lies."""
    return LOW_TABLE + 4 * (gva // PAGE)


def paging_exits(way: Way, pages: int, text: bytes = b"hello") -> dict[str, int]:
    """What a guest with its own tables costs, step by step, in exits. At most 64 `pages`."""
    if not 1 <= pages <= 64:
        raise ValueError(f"the guest stores to 1 to 64 pages, not to {pages}")
    vm, first = paged(way), 0x2_0000
    driver = UartDriver.in_memory(vm.cpu, DEVICE, machine.UART2_SHIFT)
    stores = [partial(vm.cpu.store, first + n * PAGE, n) for n in range(pages)]
    steps: dict[str, list[Callable[[], object]]] = {
        "MOV CR3": [partial(vm.cpu.set_cr3, DIRECTORY)],
        f"first store to {pages} pages": [*stores],
        "second store to them": [*stores],
        "one entry changed, used": [
            partial(vm.cpu.store, entry_of(first), 0x6_0000 | P.mask | RW.mask),
            partial(vm.cpu.load, first),
        ],
        f"print {len(text)} characters": [partial(driver.put, byte) for byte in text],
    }
    counts = {}
    for name, calls in steps.items():
        before = vm.exits
        for call in calls:
            call()
        counts[name] = vm.exits - before
    return counts
