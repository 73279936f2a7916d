"""Which term of the closed form an access belongs to, by the register that it touches.

    0x1F0         data words       BAR 4 + 0 ..  bus master         BAR 0 + TDT   transmit tail
    0x1F7, read   drive status     0x20, 0xA0    end of interrupt   notify + n    doorbell

The idea: the guest's own accesses, named. Their number for each name is what the closed form says
of it, and together they are what the VMM has counted. So neither side is believed alone.

The rule that keeps it simple: the offsets are those of the declarations. An access with no name is
one to RAM, or a surprise; the total tells which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import cast

from virtlab.devices.ata.registers import ALTERNATE_STATUS, BUS_MASTER, STATUS
from virtlab.devices.ata.registers import DATA as DATA_REGISTER
from virtlab.devices.e1000.registers import Interrupts
from virtlab.devices.e1000.rings import ReceiveRing, TransmitRing
from virtlab.guest.ata import PRIMARY
from virtlab.guest.pic import MASTER, SLAVE
from virtlab.guest.virtio_mmio import MmioTransport
from virtlab.guest.virtio_pci import ModernPci
from virtlab.guest.virtio_pci_legacy import LegacyPci
from virtlab.guest.virtio_transport import Transport
from virtlab.show import path_forms as forms
from virtlab.trace import Access
from virtlab.virtio.mmio_registers import MmioRegisters
from virtlab.virtio.pci_layouts import IsrStatus, LegacyHeader

Names = Mapping[tuple[str, int, bool], str]
"""The name of an access, by space, address, and whether it writes."""

_PICS = {("port", port, True): forms.EOI for port in (MASTER, SLAVE)}


def tally(accesses: Iterable[Access], names: Names) -> Counter[str]:
    """How many accesses have each name; those without one are left out."""
    found = (names.get((each.region, each.address, each.write)) for each in accesses)
    return Counter(name for name in found if name)


def ata_names(bus_master: int) -> Names:
    """The first IDE channel, and its bus master at port `bus_master`."""
    base = PRIMARY.command
    names = {("port", base + offset, True): forms.TASK_FILE for offset in range(1, 8)}
    names |= {("port", base + DATA_REGISTER.offset, way): forms.DATA for way in (False, True)}
    for port in (base + STATUS.offset, PRIMARY.control + ALTERNATE_STATUS.offset):
        names["port", port, False] = forms.STATUS
    for offset in range(BUS_MASTER):
        for way in (False, True):
            names["port", bus_master + offset, way] = forms.BUS_MASTER
    return names | _PICS


def e1000_names(base: int) -> Names:
    """The card whose BAR 0 is at `base` (gpa)."""
    return {
        ("memory", base + TransmitRing.TDT.offset, True): forms.SEND_TAIL,
        ("memory", base + ReceiveRing.RDT.offset, True): forms.RECEIVE_TAIL,
        ("memory", base + Interrupts.ICR.offset, False): forms.CAUSES,
        **_PICS,
    }


def virtio_names(transport: Transport, queues: Iterable[int]) -> Names:
    """The doorbells of `queues`, and the registers that tell why the device calls."""
    if isinstance(transport, MmioTransport):
        return {
            ("memory", transport.base + MmioRegisters.QUEUE_NOTIFY.offset, True): forms.DOORBELL,
            ("memory", transport.base + MmioRegisters.INTERRUPT_STATUS.offset, False): forms.WHY,
            ("memory", transport.base + MmioRegisters.INTERRUPT_ACK.offset, True): forms.WHY,
            **_PICS,
        }
    if isinstance(transport, LegacyPci):
        return {
            ("port", transport.port + LegacyHeader.QUEUE_NOTIFY.offset, True): forms.DOORBELL,
            ("port", transport.port + LegacyHeader.ISR_STATUS.offset, False): forms.WHY,
            **_PICS,
        }
    modern = cast(ModernPci, transport)
    bells = [modern.doorbells.base + modern.bells[index][0] for index in queues]
    return {
        **{("memory", at, True): forms.DOORBELL for at in bells},
        ("memory", modern.isr.base + IsrStatus.ISR_STATUS.offset, False): forms.WHY,
        **_PICS,
    }
