"""A network card with virtual functions: virtio-net many times, and a switch between them.

    PF   VirtioPci(VirtioNet)   offers SR_IOV   BAR 2: PortControl      the host's driver
    VF 1 VirtioPci(VirtioNet)                                           a guest's driver, unchanged
    VF 2 VirtioPci(VirtioNet)

The idea: to its driver a VF is any virtio-net function. Queues, MSI-X and requests are its own,
and no other function takes part when frames move. What the host decides about a VF it writes into
registers behind a BAR of the PF, and a VF has no such BAR.

The rule that keeps it simple: the registers are a form. Fill it in, then give a command: LOAD shows
the settings of a port, APPLY sets them. Nothing happens in between.

Source: virtio 1.3 6 (SR_IOV), 5.1; SR-IOV 1.1. virtio 1.3 has no command for a VF's address or
VLAN: its administration virtqueue knows legacy access only. So this form is our own, as each vendor
has one. Left out: a mailbox from VF to PF, rates, more than one VLAN in a VF.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import ClassVar

from virtlab.backends.network import LinkEnd, is_group
from virtlab.pci.function import Function
from virtlab.pci.routing_ids import Spread
from virtlab.pci.sriov_functions import Virtuals, make_physical
from virtlab.registers import Reg, RegisterFile
from virtlab.trace import Trace
from virtlab.virtio.embedded_switch import MAX_VLAN, PHYSICAL, EmbeddedSwitch
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.net import DEFAULT_MAC, OFFERED, VirtioNet
from virtlab.virtio.net_layouts import MAC_BYTES, NetFeature
from virtlab.virtio.pci import PCI_FEATURES, PciTransport, VirtioPci
from virtlab.wire import Bits, all_ones

CONTROL_BAR, CONTROL_BYTES = 2, 0x1000
"""Where a PF has the form."""

VF_OFFERED: Features = OFFERED - {NetFeature.CTRL_MAC_ADDR}
"""What a VF offers: its address is the host's to choose."""


class Command(IntEnum):
    """What to do with the form."""

    LOAD = 1
    APPLY = 2


class Answer(IntEnum):
    """How that went."""

    DONE = 0
    NO_PORT = 1  # there is no such port, or it is the PF's own
    BAD_ADDRESS = 2  # a group's address, or another port's in the same VLAN
    BAD_VLAN = 3
    NO_COMMAND = 4


class PortControl(RegisterFile):
    """The form: the settings of one port of the switch. Ports are numbered as VFs are, from 1."""

    length = 0x40
    PORT = Reg(0x00, 4, rw=all_ones(4), doc="Which VF, from 1.")
    MAC_LOW = Reg(0x04, 4, rw=all_ones(4), doc="Its address, the first four bytes.")
    MAC_HIGH = Reg(0x08, 2, rw=all_ones(2), doc="The last two.")
    VLAN = Reg(0x0A, 2, rw=0x0FFF, doc="Its VLAN; 0: the untagged network.")
    FLAGS = Reg(
        0x0C,
        4,
        rw=0x3,
        fields={"SPOOF_CHECK": Bits(0), "LINK": Bits(1)},
        doc="Whether its frames must have its address; whether its cable is plugged in.",
    )
    COMMAND = Reg(0x10, 4, rw=all_ones(4), doc="Writing it carries it out.")
    ANSWER = Reg(0x14, 4, doc="How the last command went.")
    SENT = Reg(0x18, 4, doc="Frames that it sent, as of the last LOAD.")
    RECEIVED = Reg(0x1C, 4, doc="Frames for it.")
    SPOOFED = Reg(0x20, 4, doc="Frames that did not have its address.")

    def __init__(self, switch: EmbeddedSwitch, devices: Sequence[VirtioNet]) -> None:
        super().__init__()
        self.switch, self.devices = switch, devices

    def write_COMMAND(self, old: int, new: int) -> None:
        """Carry it out, and answer."""
        if not PHYSICAL < self.PORT < len(self.switch.ports):
            self.ANSWER = Answer.NO_PORT
        elif new == Command.LOAD:
            self.ANSWER = self._load(self.PORT)
        elif new == Command.APPLY:
            self.ANSWER = self._apply(self.PORT)
        else:
            self.ANSWER = Answer.NO_COMMAND

    @property
    def mac(self) -> bytes:
        """The address in the form."""
        return self.MAC_LOW.to_bytes(4, "little") + self.MAC_HIGH.to_bytes(2, "little")

    def _load(self, number: int) -> Answer:
        port = self.switch.ports[number]
        self.MAC_LOW = int.from_bytes(port.mac[:4], "little")
        self.MAC_HIGH = int.from_bytes(port.mac[4:MAC_BYTES], "little")
        self.VLAN = port.vlan
        flags = PortControl.FLAGS.SPOOF_CHECK.put(0, port.spoof_check)
        self.FLAGS = PortControl.FLAGS.LINK.put(flags, self.switch.links[number].up)
        self.SENT, self.RECEIVED = port.counts["sent"], port.counts["received"]
        self.SPOOFED = port.counts["dropped: not its address"]
        return Answer.DONE

    def _apply(self, number: int) -> Answer:
        """All of it, or nothing."""
        mac, port = self.mac, self.switch.ports[number]
        if is_group(mac) or not any(mac) or self.switch.taken(mac, self.VLAN, number):
            return Answer.BAD_ADDRESS
        if self.VLAN > MAX_VLAN:
            return Answer.BAD_VLAN
        port.mac, port.vlan = mac, self.VLAN
        port.spoof_check = bool(PortControl.FLAGS.SPOOF_CHECK.get(self.FLAGS))
        device = self.devices[number]
        if device.permanent_mac != mac:
            device.permanent_mac = mac
            device.set_mac(mac)
        self.switch.links[number].set_up(bool(PortControl.FLAGS.LINK.get(self.FLAGS)))
        return Answer.DONE


class PhysicalTransport(PciTransport):
    """The core of a function that has an SR-IOV capability: only that may offer SR_IOV (6.2)."""

    able: ClassVar[Features] = PciTransport.able | {Feature.SR_IOV}


class PhysicalNet(VirtioPci):
    """The physical function of a network card at `wire`, with `total` VFs, none of them enabled.

    `mac` is its address; VF n has the n-th after it. `virtual` are the VFs as functions, `devices`
    the network devices, the PF's own first, and `switch` is what ties them together. Plug it in at
    the end of a link.
    """

    transport = PhysicalTransport

    def __init__(
        self,
        wire: LinkEnd,
        total: int,
        mac: bytes = DEFAULT_MAC,
        trace: Trace | None = None,
        name: str = "net",
        spread: Spread | None = None,
    ) -> None:
        first = int.from_bytes(mac, "big")
        self.macs = macs = [(first + n).to_bytes(MAC_BYTES, "big") for n in range(total + 1)]
        self.switch = EmbeddedSwitch(wire, macs)
        offers = [OFFERED, *[VF_OFFERED] * total]
        self.devices = [
            VirtioNet(end, own, offered=offered)
            for end, own, offered in zip(self.switch.ends, macs, offers, strict=True)
        ]
        ring = PCI_FEATURES | {Feature.SR_IOV}
        super().__init__(self.devices[PHYSICAL], trace=trace, ring=ring, name=name)
        self.control = PortControl(self.switch, self.devices)
        self.memory_bar(CONTROL_BAR, self.control, CONTROL_BYTES)
        self.switch.own = lambda: self.devices[PHYSICAL].mac
        self.virtual = [
            VirtioPci(device, trace=trace, name=f"{name}, VF {number}")
            for number, device in enumerate(self.devices[1:], 1)
        ]
        self.virtuals: Virtuals = make_physical(self, self.virtual, spread=spread)
        for number, function in enumerate(self.virtual, 1):
            self.switch.ports[number].present = _is_there(function)

    def reset(self) -> None:
        """As after the bus was reset: no VFs, the form is empty, every port is as at first."""
        for device, link, port, mac in zip(
            self.devices, self.switch.links, self.switch.ports, self.macs, strict=True
        ):
            device.permanent_mac = port.mac = mac
            port.vlan, port.spoof_check = 0, port is not self.switch.ports[PHYSICAL]
            link.set_up(True)
        super().reset()
        self.control.reset()
        for function in self.virtual:
            function.reset()


def _is_there(function: Function) -> Callable[[], bool]:
    return lambda: function.bus is not None
