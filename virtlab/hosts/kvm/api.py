"""What user space and KVM agree on: the numbers of the calls, and the bytes that they move.

The idea: KVM is one device file and three kinds of file descriptor: the system, a VM, a vCPU. Each
call is an `ioctl` with a number that also says how many bytes it moves, and which way.

     31 30 29          16 15       8 7        0
    +-----+--------------+----------+----------+
    | way |    bytes     |   0xAE   |  number  |      1: to the kernel   2: from it
    +-----+--------------+----------+----------+

The layouts are structured dtypes, each declared once. Source: Linux, include/uapi/linux/kvm.h,
arch/x86/include/uapi/asm/kvm.h; api.rst 4 (calls), 5 (`struct kvm_run`).
"""

from __future__ import annotations

import numpy as np

from virtlab.wire import u8, u16, u32, u64

DEVICE = "/dev/kvm"
VERSION = 12
"""The one stable version of the interface (api.rst 4.1)."""

# -- layouts

MEMORY_REGION = np.dtype(
    [
        ("slot", u32),
        ("flags", u32),
        ("guest_phys_addr", u64),
        ("memory_size", u64),  # bytes; 0 takes the slot away
        ("userspace_addr", u64),
    ]
)
REGISTERS = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *(f"r{number}" for number in range(8, 16)),
    *("rip", "rflags"),
)
REGS = np.dtype([(name, u64) for name in REGISTERS])
SEGMENT = np.dtype(
    [
        ("base", u64),
        ("limit", u32),
        ("selector", u16),
        ("type", u8),
        ("present", u8),
        ("dpl", u8),
        ("db", u8),  # 1: 32-bit
        ("s", u8),  # 1: code or data
        ("l", u8),
        ("g", u8),  # 1: the limit counts pages
        ("avl", u8),
        ("unusable", u8),
        ("padding", u8),
    ]
)
TABLE = np.dtype([("base", u64), ("limit", u16), ("padding", u16, 3)])
SREGS = np.dtype(
    [
        *((name, SEGMENT) for name in ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt")),
        ("gdt", TABLE),
        ("idt", TABLE),
        *((name, u64) for name in ("cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base")),
        ("interrupt_bitmap", u64, 4),
    ]
)
IOEVENTFD_ENTRY = np.dtype(
    [
        ("datamatch", u64),
        ("addr", u64),
        ("len", u32),  # bytes of the access
        ("fd", np.dtype("<i4")),
        ("flags", u32),
        ("padding", u8, 36),
    ]
)
IRQFD_ENTRY = np.dtype(
    [("fd", u32), ("gsi", u32), ("flags", u32), ("resamplefd", u32), ("padding", u8, 16)]
)
COALESCED_ZONE = np.dtype([("addr", u64), ("size", u32), ("pio", u32)])
COALESCED_ENTRY = np.dtype([("phys_addr", u64), ("len", u32), ("pio", u32), ("data", u64)])

RUN = np.dtype(
    {
        "names": ["immediate_exit", "exit_reason", "ready_for_interrupt_injection", "if_flag"],
        "formats": [u8, u32, u8, u8],
        "offsets": [1, 8, 12, 13],
    }
)
"""The start of the page that a vCPU shares with user space (api.rst 5)."""
DETAILS = 32
"""Where in that page the details of an exit stand, by its reason."""
IO = np.dtype([("direction", u8), ("size", u8), ("port", u16), ("count", u32), ("data", u64)])
MMIO = np.dtype([("phys_addr", u64), ("data", u64), ("len", u32), ("is_write", u8)])
INTERNAL_ERROR = np.dtype([("suberror", u32), ("ndata", u32)])

# -- why a vCPU stopped

EXIT_IO, EXIT_HLT, EXIT_MMIO, EXIT_IRQ_WINDOW, EXIT_SHUTDOWN = 2, 5, 6, 7, 8
EXIT_INTR, EXIT_INTERNAL_ERROR = 10, 17
EMULATION = 1
"""Suberror: an instruction that the kernel would have to emulate, and cannot."""

IO_OUT = 1
"""`direction` of an `OUT`."""


# -- the calls


def _call(number: int, to_kernel: np.dtype | None = None, way: int = 1) -> int:
    """The `ioctl` number of KVM's call `number`."""
    size = 0 if to_kernel is None else to_kernel.itemsize
    return (way << 30 if size else 0) | size << 16 | 0xAE << 8 | number


GET_API_VERSION, CREATE_VM, CHECK_EXTENSION, GET_VCPU_MMAP_SIZE = map(_call, (0, 1, 3, 4))
CREATE_VCPU, CREATE_IRQCHIP, RUN_VCPU = map(_call, (0x41, 0x60, 0x80))
SET_USER_MEMORY_REGION = _call(0x46, MEMORY_REGION)
REGISTER_COALESCED_MMIO = _call(0x67, COALESCED_ZONE)
IRQFD = _call(0x76, IRQFD_ENTRY)
IOEVENTFD = _call(0x79, IOEVENTFD_ENTRY)
GET_REGS, SET_REGS = _call(0x81, REGS, 2), _call(0x82, REGS)
GET_SREGS, SET_SREGS = _call(0x83, SREGS, 2), _call(0x84, SREGS)
INTERRUPT = _call(0x86, u32)

CAP_COALESCED_MMIO = 15
"""`CHECK_EXTENSION` answers the page of a vCPU's memory that has the ring; 0 if there is none."""
IOEVENTFD_DATAMATCH, IOEVENTFD_PIO = 1, 2
