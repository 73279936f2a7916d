"""A VM as the kernel has it: its memory, one vCPU, and the file descriptors that replace exits.

    eventfd  <-  the guest's store or OUT           `ioeventfd`: signalled, and nothing exits
    eventfd  ->  an interrupt line                  `irqfd`: the guest is interrupted
    a ring   <-  the guest's stores                 `coalesce`: kept for later, and nothing exits

The rule that keeps it simple: the kernel gets guest memory as *slots*, pieces of our own address
space. A guest-physical page with no slot exits as MMIO, as an empty EPT entry does; indeed the
kernel makes the EPT entries from the slots.

Source: Linux, Documentation/virt/kvm/api.rst 4.35 (slots), 4.59 (ioeventfd), 4.75 (irqfd), 4.116
(coalesced MMIO). One vCPU; no dirty log.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np

from virtlab.hosts.kvm import api
from virtlab.memory import PAGE


class Slot(NamedTuple):
    """`length` bytes of guest-physical memory at `gpa` are those at `address` of this process."""

    gpa: int
    address: int
    length: int


def slots(pages: Iterable[tuple[int, int]]) -> list[Slot]:
    """As few slots as `(gpa, address)` of single pages allow: neighbours in both become one.

    >>> slots([(0, 0x7000), (0x1000, 0x8000), (0x2000, 0x3000)])
    [Slot(gpa=0, address=28672, length=8192), Slot(gpa=8192, address=12288, length=4096)]
    """
    found: list[Slot] = []
    for gpa, address in sorted(pages):
        last = found[-1] if found else Slot(0, 0, 0)
        if last.length and (gpa, address) == (last.gpa + last.length, last.address + last.length):
            found[-1] = last._replace(length=last.length + PAGE)
        else:
            found.append(Slot(gpa, address, PAGE))
    return found


class Stored(NamedTuple):
    """A store that the kernel kept for later: `value` of `size` bytes at `gpa`."""

    gpa: int
    size: int
    value: int


class KvmMachine:
    """One VM and its one vCPU. With `irqchip` the kernel has the 8259As and the APICs too.

    `OSError` where the kernel refuses. Close it, or use it in a `with`.
    """

    def __init__(self, irqchip: bool = False) -> None:
        self._fds: list[int] = []
        self.slots: list[Slot] = []
        self.entries = 0
        try:
            self._open(irqchip)
        except OSError:
            self.close()
            raise

    def _open(self, irqchip: bool) -> None:
        self.kvm = self._own(os.open(api.DEVICE, os.O_RDWR | os.O_CLOEXEC))
        version = fcntl.ioctl(self.kvm, api.GET_API_VERSION, 0)
        if version != api.VERSION:
            raise OSError(f"KVM's interface is version {version}, not {api.VERSION}")
        self.vm = self._own(fcntl.ioctl(self.kvm, api.CREATE_VM, 0))
        if irqchip:
            fcntl.ioctl(self.vm, api.CREATE_IRQCHIP, 0)
        self.vcpu = self._own(fcntl.ioctl(self.vm, api.CREATE_VCPU, 0))
        size = fcntl.ioctl(self.kvm, api.GET_VCPU_MMAP_SIZE, 0)
        self.shared = np.frombuffer(mmap.mmap(self.vcpu, size), np.uint8)

    def _own(self, fd: int) -> int:
        """Remember a file descriptor that `close` must close."""
        self._fds.append(fd)
        return fd

    def close(self) -> None:
        """Give everything back to the kernel. Closing twice does nothing."""
        self.shared = np.zeros(0, np.uint8)
        while self._fds:
            os.close(self._fds.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- memory

    def set_memory(self, wanted: list[Slot]) -> None:
        """Let the guest have these slots, and no other memory."""
        for number, slot in enumerate(self.slots):
            self._set_slot(number, slot._replace(length=0))
        self.slots = list(wanted)
        for number, slot in enumerate(self.slots):
            self._set_slot(number, slot)

    def _set_slot(self, number: int, slot: Slot) -> None:
        row = np.array((number, 0, slot.gpa, slot.length, slot.address), api.MEMORY_REGION)
        fcntl.ioctl(self.vm, api.SET_USER_MEMORY_REGION, row.tobytes())

    # -- the vCPU

    def enter(self) -> None:
        """Run the guest until it exits, or a signal comes (`InterruptedError`)."""
        self.entries += 1
        fcntl.ioctl(self.vcpu, api.RUN_VCPU, 0)

    def interrupt(self, vector: int) -> None:
        """Deliver `vector` at the next entry. Only without `irqchip` (api.rst 4.16)."""
        fcntl.ioctl(self.vcpu, api.INTERRUPT, np.array(vector, "<u4").tobytes())

    def get(self, call: int, layout: np.dtype) -> np.ndarray:
        """Registers: one element of `layout`, to be changed and given to `put`."""
        block = np.zeros(1, layout)
        data = bytearray(layout.itemsize)
        fcntl.ioctl(self.vcpu, call, data)
        block[:] = np.frombuffer(data, layout)
        return block

    def put(self, call: int, block: np.ndarray) -> None:
        """Set registers."""
        fcntl.ioctl(self.vcpu, call, block.tobytes())

    @property
    def run(self) -> np.void:
        """The head of the shared page, `api.RUN`: a view, not a copy."""
        head: np.void = self.shared[: api.RUN.itemsize].view(api.RUN)[0]
        return head

    def details(self, layout: np.dtype) -> np.void:
        """The details of the last exit as `layout`: a view, not a copy."""
        end = api.DETAILS + layout.itemsize
        found: np.void = self.shared[api.DETAILS : end].view(layout)[0]
        return found

    # -- file descriptors in the place of exits

    def ioeventfd(self, fd: int, where: int, size: int, *, port: bool, match: int | None) -> None:
        """Signal eventfd `fd` when the guest writes `size` bytes at `where`, a port or a gpa.

        With `match`, only for that value; any other write still exits.
        """
        flags = api.IOEVENTFD_PIO * port | api.IOEVENTFD_DATAMATCH * (match is not None)
        row = np.array((match or 0, where, size, fd, flags, 0), api.IOEVENTFD_ENTRY)
        fcntl.ioctl(self.vm, api.IOEVENTFD, row.tobytes())

    def irqfd(self, fd: int, line: int) -> None:
        """Raise interrupt `line` of the kernel's chips whenever eventfd `fd` is signalled."""
        row = np.array((fd, line, 0, 0, 0), api.IRQFD_ENTRY)
        fcntl.ioctl(self.vm, api.IRQFD, row.tobytes())

    def coalesce(self, gpa: int, length: int) -> None:
        """Keep the guest's stores to `length` bytes at `gpa` in the ring, with no exit."""
        row = np.array((gpa, length, 0), api.COALESCED_ZONE)
        fcntl.ioctl(self.vm, api.REGISTER_COALESCED_MMIO, row.tobytes())

    def drain(self) -> list[Stored]:
        """Take the kept stores out of the ring, oldest first."""
        page = fcntl.ioctl(self.kvm, api.CHECK_EXTENSION, api.CAP_COALESCED_MMIO)
        if page == 0:
            raise OSError("this KVM keeps no stores for later")
        ring = self.shared[page * PAGE : (page + 1) * PAGE]
        first_last = ring[:8].view("<u4")
        count = (PAGE - 8) // api.COALESCED_ENTRY.itemsize
        table = ring[8 : 8 + count * api.COALESCED_ENTRY.itemsize].view(api.COALESCED_ENTRY)
        found = []
        for _ in range(count):
            first, last = (int(index) % count for index in first_last)
            if first == last:
                break
            gpa, size, _, data = table[first].item()
            found.append(Stored(gpa, size, data & ((1 << 8 * min(size, 8)) - 1)))
            first_last[0] = (first + 1) % count
        return found


def available() -> bool:
    """Whether this process can have a VM and a vCPU of `/dev/kvm`."""
    try:
        KvmMachine().close()
    except OSError:
        return False
    return True
