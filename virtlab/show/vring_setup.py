"""Hand a virtqueue over to a device, register by register, and see who objects.

    legacy    which queue, [size], [alignment], one page number
    modern    which queue, size, three addresses in two halves each, "use it"

The idea: `steps` are the register writes that a `Vring` leads to; `hand_over` makes them at a real
device of the library, one by one, and rings the bell. So what is refused, when, and by which
clause, is the library's answer.

The rule that keeps it simple: it stops at the first objection. What was agreed before (status,
features, the legacy page size) is in place already.

Source: virtio 1.3 4.1.4.3, 4.1.4.10, 4.1.5.1.3 (PCI), 4.2.2, 4.2.4 (MMIO).
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.interrupts import IrqLine
from virtlab.memory import PAGE, GuestMemory
from virtlab.registers import Reg, RegisterFile
from virtlab.show.vring_state import LARGEST, RAM, Vring
from virtlab.trace import Trace
from virtlab.virtio.features import Feature, to_bits
from virtlab.virtio.mmio import VirtioMmio, VirtioMmioLegacy
from virtlab.virtio.mmio_registers import LegacyMmio, MmioRegisters, ModernMmio
from virtlab.virtio.pci import PciTransport
from virtlab.virtio.pci_common import CommonStructure
from virtlab.virtio.pci_layouts import CommonConfig, LegacyHeader
from virtlab.virtio.pci_legacy import LegacyPorts
from virtlab.virtio.rng import VirtioRng, seeded
from virtlab.virtio.status import Status
from virtlab.virtio.transport import Transport
from virtlab.wire import all_ones


class Step(NamedTuple):
    """One write of `width` bytes at `offset`, and the register's name; `+4` for its high half."""

    name: str
    value: int
    offset: int
    width: int


def _write(reg: Reg, value: int) -> Step:
    return Step(reg.name, value, reg.offset, reg.width)


def _halves(reg: Reg, value: int) -> list[Step]:
    """A field of 64 bits is written as two halves, the low one first (4.1.3.1)."""
    low, high = value & all_ones(4), value >> 32 & all_ones(4)
    return [Step(reg.name, low, reg.offset, 4), Step(f"{reg.name}+4", high, reg.offset + 4, 4)]


def steps(vring: Vring) -> list[Step]:
    """What the driver writes to hand the queue over, the bell not yet among it."""
    if vring.bus == "PCI":
        return _pci_legacy(vring) if vring.legacy else _pci(vring)
    start = [_write(MmioRegisters.QUEUE_SEL, 0), _write(MmioRegisters.QUEUE_SIZE, vring.size)]
    if vring.legacy:
        align, page = LegacyMmio.QUEUE_ALIGN, LegacyMmio.QUEUE_PFN
        return [*start, _write(align, vring.align), _write(page, vring.place)]
    areas = (
        (ModernMmio.QUEUE_DESC_LOW, ModernMmio.QUEUE_DESC_HIGH),
        (ModernMmio.QUEUE_DRIVER_LOW, ModernMmio.QUEUE_DRIVER_HIGH),
        (ModernMmio.QUEUE_DEVICE_LOW, ModernMmio.QUEUE_DEVICE_HIGH),
    )
    for (low, high), (gpa, _) in zip(areas, vring.rings.parts, strict=True):
        start += [_write(low, gpa & all_ones(4)), _write(high, gpa >> 32 & all_ones(4))]
    return [*start, _write(ModernMmio.QUEUE_READY, 1)]


def _pci_legacy(vring: Vring) -> list[Step]:
    return [
        _write(LegacyHeader.QUEUE_SELECT, 0),
        _write(LegacyHeader.QUEUE_ADDRESS, vring.place),
    ]


def _pci(vring: Vring) -> list[Step]:
    made = [_write(CommonConfig.QUEUE_SELECT, 0), _write(CommonConfig.QUEUE_SIZE, vring.size)]
    areas = (CommonConfig.QUEUE_DESC, CommonConfig.QUEUE_DRIVER, CommonConfig.QUEUE_DEVICE)
    for reg, (gpa, _) in zip(areas, vring.rings.parts, strict=True):
        made += _halves(reg, gpa)
    return [*made, _write(CommonConfig.QUEUE_ENABLE, 1)]


class HandedOver(NamedTuple):
    """Whether the queue is `ready`, or the number of the step that was `noticed`, and why.

    The bell is the last step. `needs_reset` is what the device says in its status then.
    """

    ready: bool
    noticed: int | None = None
    why: str = ""
    needs_reset: bool = False


def hand_over(vring: Vring) -> HandedOver:
    """Make every step at a device, and then ring the bell once."""
    trace = Trace()
    core, registers = _device(vring, trace)
    made = steps(vring)
    with trace.recording():
        for number, step in enumerate(made):
            registers.write(step.offset, step.width, step.value)
            if trace.events:
                return _noticed(core, trace, number)
        core.write_status(core.status | Status.DRIVER_OK)
        core.notify(0)
        if trace.events:
            return _noticed(core, trace, len(made))
    return HandedOver(core.queues[0].ready)


def _noticed(core: Transport, trace: Trace, number: int) -> HandedOver:
    broken = bool(core.status & Status.DEVICE_NEEDS_RESET)
    return HandedOver(core.queues[0].ready, number, trace.events[0].note, broken)


def _device(vring: Vring, trace: Trace) -> tuple[Transport, RegisterFile]:
    """An entropy device behind the registers of this interface, its features settled."""
    core, registers = _registers(vring, trace)
    core.write_status(Status.ACKNOWLEDGE | Status.DRIVER)
    if not vring.legacy:
        packed = {Feature.RING_PACKED} if vring.layout == "packed" else set()
        core.accept_word(1, to_bits({Feature.VERSION_1} | packed) >> 32)
        core.write_status(core.status | Status.FEATURES_OK)
    elif isinstance(registers, VirtioMmioLegacy):
        registers.write(LegacyMmio.GUEST_PAGE_SIZE.offset, 4, PAGE)
    return core, registers


def _registers(vring: Vring, trace: Trace) -> tuple[Transport, RegisterFile]:
    device = VirtioRng(seeded(0), vring.size if vring.fixed else LARGEST)
    memory = GuestMemory(RAM)
    if vring.bus == "MMIO":
        kind = VirtioMmioLegacy if vring.legacy else VirtioMmio
        window = kind(device, memory, IrqLine("virtio"), trace)
        return window.core, window
    core = PciTransport(device, memory, lambda cause, index: None, vring.legacy, trace)
    if vring.legacy:
        return core, LegacyPorts(core, lambda: 0, lambda: False)
    return core, CommonStructure(core)
