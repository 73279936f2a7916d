"""What the devices that were given do: a small workload, on fresh machines, counted.

    keyboard        somebody presses K; the VM reads it, woken by the interrupt
    display         the VM writes its name on the screen
    disk            the VM reads its sector 0
    network card    the VM sends a frame out of the house, and one comes for it
    virtual link    the one end sends a message, the other one is woken and reads it

The idea: every change of the board is an experiment. A new host is made, three VMs on it, all is
given as the board says; the drivers start; then the counting begins.

The rule that keeps it simple: `experiment` is a function of what is given. It gives one `Outcome`
for each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from virtlab import machine
from virtlab.backends import SECTOR
from virtlab.guest.ata import PRIMARY, AtaDriver
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.pci import find
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pic import Pics
from virtlab.guest.ps2 import Ps2
from virtlab.guest.vlink import LinkDriver
from virtlab.show.assign_state import CAN_BE, DIRECT, LINK, VMS, Given
from virtlab.vmm.assignment import Ledger
from virtlab.vmm.dedicated import Dedicated
from virtlab.vmm.interrupt_relay import HostInterrupts
from virtlab.vmm.partitioned import PartitionedDisk, PhysicalDisk
from virtlab.vmm.physical import Physical, keyboard_and_mouse, text_display
from virtlab.vmm.shared_nic import PhysicalNic, SharedNic
from virtlab.vmm.vlink import PLACE, LinkBetween

NIC = (0x8086, 0x100E)
OUTSIDE = bytes.fromhex("0a0000000009")
BUFFERS, HOST_BUFFERS = 0x20000, 0x20_0000
"""Where a VM's drivers, and the VMM's own, have their rings and buffers (gpa, hpa)."""

PIECE = 1000
"""Sectors of a piece of the disk."""

Work = Callable[[], str]


class Outcome(NamedTuple):
    """What one VM's work cost: its exits, blocks copied, physical interrupts; and what it saw."""

    given: Given
    exits: int
    copies: int
    interrupts: int
    saw: str


class Lab:
    """A host, three VMs, and everything given as `given` says. `work` has what each does then."""

    def __init__(self, given: tuple[Given, ...]) -> None:
        self.host = machine.lesson_pc()
        self.guests = {vm: machine.lesson_vm(self.host, name=vm) for vm in VMS}
        self.interrupts = HostInterrupts(self.host)
        self.ledger = Ledger(CAN_BE)
        self.work: list[tuple[Given, Work]] = []
        self._disk: PartitionedDisk | None = None
        self._nic: SharedNic | None = None
        makers = {
            "keyboard": self._keyboard,
            "display": self._display,
            "disk": self._sectors,
            "network card": self._frames,
        }
        for each in given:
            if each.device != LINK:
                self.work.append((each, makers[each.device](each)))
        self._connect([each for each in given if each.device == LINK])

    def run(self) -> list[Outcome]:
        """Let everybody work, one after the other, and count."""
        outcomes = []
        for given, work in self.work:
            before = self._counts(given.vm)
            saw = work()
            after = self._counts(given.vm)
            exits, copies, interrupts = (y - x for x, y in zip(before, after, strict=True))
            outcomes.append(Outcome(given, exits, copies, interrupts, saw))
        return outcomes

    def _counts(self, vm: str) -> tuple[int, int, int]:
        copies = self.host.trace.counts["copy"]
        return self.guests[vm].exits, copies, self.interrupts.counts["interrupts"]

    def _dedicate(self, device: Physical, given: Given) -> None:
        dedicated = Dedicated(device, self.host, self.interrupts, self.ledger)
        dedicated.give(self.guests[given.vm], "direct" if given.way == DIRECT else "forwarded")

    # -- the devices

    def _keyboard(self, given: Given) -> Work:
        self._dedicate(keyboard_and_mouse(self.host.i8042, self.host.cpu), given)
        cpu = self.guests[given.vm].cpu
        pics, ps2 = Pics(cpu), Ps2(cpu)
        pics.remap()
        ps2.start()
        ps2.listen(pics)
        while (irq := pics.next_irq(1)) is not None:
            pics.eoi(irq)

        def press() -> str:
            self.host.keyboard.press("K")
            key = ps2.wait_key(pics)
            return f"read the key {key.name}" if key else "read no key"

        return press

    def _display(self, given: Given) -> Work:
        self._dedicate(text_display(self.host.screen, machine.TEXT_SCREEN), given)

        def draw() -> str:
            cells = b"".join(bytes((letter, 7)) for letter in f"VM {given.vm}".encode())
            self.guests[given.vm].cpu.write(machine.TEXT_SCREEN, cells)
            return f'put "{self.host.screen.text()}" on the screen'

        return draw

    def _sectors(self, given: Given) -> Work:
        guest = self.guests[given.vm]
        if given.way == "partitioned":
            if self._disk is None:
                disk = PhysicalDisk(AtaDriver(self.host.cpu))
                self._disk = PartitionedDisk(disk, self.host.trace, self.ledger)
            start = PIECE * VMS.index(given.vm)
            self._disk.give(guest, guest.cards.ide.channels[0], start, PIECE)
        else:
            channel = self.host.cards.ide.channels[0]
            ports = ((PRIMARY.command, 8), (PRIMARY.control, 1))
            self._dedicate(Physical("disk", channel.reset, ports, irqs=(PRIMARY.irq,)), given)
        driver = AtaDriver(guest.cpu)
        driver.mute()

        def read() -> str:
            words = driver.read(0)[: SECTOR // 16].decode()
            return f'read "{words[: words.index(".") + 1]}"'

        return read

    def _frames(self, given: Given) -> Work:
        if self._nic is None:
            driver, irq = nic_driver(self.host, HOST_BUFFERS)
            nic = PhysicalNic(driver, irq, self.interrupts, self.host.trace)
            self._nic = SharedNic(nic, self.host.clock, self.host.trace, self.ledger)
        guest, mac = self.guests[given.vm], bytes((2, 0, 0, 0, 0, 1 + VMS.index(given.vm)))
        port = self._nic.give(guest, guest.cards.e1000.e1000, guest.cable.b, mac)
        driver, _ = nic_driver(guest, BUFFERS)
        driver.start()

        def exchange() -> str:
            driver.send(OUTSIDE + mac + bytes(48))
            self.host.cable.b.send(mac + OUTSIDE + bytes(48))
            got = driver.receive()
            came = "got the one for it" if got and got.frame[:6] == mac else "got none"
            return f"sent {port.counts['sent']} frame, {came}"

        return exchange

    def _connect(self, ends: list[Given]) -> None:
        """The virtual link, once it has two ends: the first one sends."""
        if len(ends) < 2:
            self.work += [(each, lambda: "has nobody at the other end") for each in ends]
            return
        link = [self.guests[each.vm] for each in ends]
        LinkBetween(link[0], link[1])
        drivers = [LinkDriver(guest.cpu, PLACE, BUFFERS) for guest in link]
        for guest, driver in zip(link, drivers, strict=True):
            pics = Pics(guest.cpu)
            pics.remap()
            driver.start(pics)
        message = f"hello from {ends[0].vm}".encode()

        def send() -> str:
            drivers[0].send(message)
            return f'sent "{message.decode()}"'

        def receive() -> str:
            got = drivers[1].receive_asleep()
            return f'was woken, and read "{got.decode()}"' if got else "read nothing"

        self.work += [(ends[0], send), (ends[1], receive)]


def nic_driver(
    board: machine.Pc | machine.PcVm, memory: int, descriptors: int = 8
) -> tuple[E1000Driver, int]:
    """A driver for the network card that this processor finds, and the card's interrupt.

    Its rings and buffers lie from `memory` on.
    """
    slot = find(enumerate_pci(board.cpu), *NIC)
    assert slot.line is not None
    return E1000Driver(board.cpu, slot.bar(0), memory, descriptors), slot.line


@cache
def experiment(given: tuple[Given, ...]) -> tuple[Outcome, ...]:
    """Give everything on a fresh host, let it work: one outcome for each, in the order of work."""
    return tuple(Lab(given).run())
