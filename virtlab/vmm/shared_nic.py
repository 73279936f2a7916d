"""A shared device: one network card, and a virtual one for each VM.

      VM A: e1000 --+                    +-- its queue --+
                    +--> source is A's? -+-- its queue --+--> switch --> VMM's driver --> the card
      VM B: e1000 --+                    +-- its queue --+       |
        ^                                                        |
        +------------- for this VM? <----------------------------+

The idea: each VM has a whole card of its own: registers, rings, filters, address. That is the
*per-VM state*, and it is virtual. The one physical card knows nothing of it. In between, the VMM
takes what a virtual card sends and has the physical one send it: it translates requests.

The rules that keep it simple:

1. A VM sends with its own address, or not at all. So the switch learns nothing that is false.
2. A VM gets what is for its address or for a group. What its virtual card's filters would let in
   besides does not matter: promiscuous mode is refused here, before the card.
3. A VM waits in its own bounded queue, and the queues take turns. The door lets `byte_time` ns
   pass for each byte: 8 for a card of 1 Gbit/s.

`counts` of a `VirtualPort` say what became of its frames. Left out: VLANs, and pause frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from virtlab.backends.network import LinkEnd, is_group
from virtlab.backends.switch import Switch
from virtlab.clock import Clock
from virtlab.devices.e1000 import E1000
from virtlab.devices.e1000.eeprom import image
from virtlab.guest.e1000 import E1000Driver
from virtlab.trace import Trace
from virtlab.vmm.assignment import Guest, Kind, Ledger
from virtlab.vmm.fair_queue import DeficitRoundRobin, Scheduler
from virtlab.vmm.interrupt_relay import HostInterrupts

BYTE_TIME = 8
"""Nanoseconds that a byte takes at 1 Gbit/s."""

LONGEST = 1514
"""Bytes of a frame without its checksum (802.3 3.2.7: 1500 of data)."""

MOST_VMS = 16

WAITING = 256
"""Frames that the VMM takes out of the physical card for one interrupt, at most."""


class Uplink(Protocol):
    """The way out: the physical card, or a cable. `listener` is told what comes in."""

    listener: Callable[[bytes], None] | None

    def send(self, frame: bytes) -> bool:
        """Send a frame. False if it could not."""


class PhysicalNic:
    """The host's card, driven by the VMM. It listens to all addresses, since it serves many."""

    def __init__(
        self, driver: E1000Driver, irq: int, interrupts: HostInterrupts, trace: Trace
    ) -> None:
        self.driver = driver
        self.trace = trace
        self.listener: Callable[[bytes], None] | None = None
        driver.start(UPE=1, MPE=1)
        interrupts.take(irq, self._interrupted)
        driver.unmask("RXT0")

    def send(self, frame: bytes) -> bool:
        """Copy it into a buffer that the card can reach, and ring."""
        self.trace.emit("copy", "host", size=len(frame), note="the VMM to the card's buffer")
        self.driver.send(frame)
        return True

    def _interrupted(self) -> None:
        self.driver.causes()
        for _ in range(WAITING):
            got = self.driver.receive()
            if got is None:
                break
            note = "the card's buffer to the VMM"
            self.trace.emit("copy", "host", size=len(got.frame), note=note)
            if self.listener is not None:
                self.listener(got.frame)


class VirtualPort(NamedTuple):
    """Where a VM is plugged in: port `number` of the switch, by the far `end` of its card's cable.

    `counts` has `sent`, `received`, and why frames were `refused ...`.
    """

    owner: str
    mac: bytes
    number: int
    end: LinkEnd
    counts: Counter[str]


class SharedNic:
    """`uplink`, shared by the VMs that were given a port. `scheduler` decides whose turn it is."""

    def __init__(
        self,
        uplink: Uplink,
        clock: Clock,
        trace: Trace,
        ledger: Ledger,
        *,
        name: str = "network card",
        scheduler: Scheduler | None = None,
        byte_time: int = BYTE_TIME,
    ) -> None:
        self.uplink = uplink
        self.clock = clock
        self.trace = trace
        self.ledger = ledger
        self.name = name
        self.scheduler: Scheduler = scheduler or DeficitRoundRobin()
        self.byte_time = byte_time
        self.switch = Switch(1 + MOST_VMS, clock)
        self.ports: dict[str, VirtualPort] = {}
        self._sending = False
        self.switch.ports[0].listener = self._to_uplink
        uplink.listener = self._from_uplink

    # -- who takes part

    def give(self, guest: Guest, card: E1000, end: LinkEnd, mac: bytes) -> VirtualPort:
        """Let a VM take part: `card` is its virtual one, which gets the address `mac`.

        `end` is the free end of that card's cable. `ValueError` if the address is taken, or is a
        group's, or if all ports are.
        """
        taken = [port.mac for port in self.ports.values()]
        if len(mac) != 6 or is_group(mac) or mac in taken:
            raise ValueError(f"{mac.hex()} is no address of one station, or another VM has it")
        free = set(range(1, 1 + MOST_VMS)) - {port.number for port in self.ports.values()}
        if not free:
            raise ValueError(f"all {MOST_VMS} ports are taken")
        self.ledger.give(self.name, guest.vm.name, Kind.SHARED)
        port = VirtualPort(guest.vm.name, mac, min(free), end, Counter())
        self.ports[port.owner] = port
        set_address(card, mac)
        self.switch.learn(mac, port.number)
        end.listener = lambda frame: self._from_guest(port, frame)
        self.switch.ports[port.number].listener = lambda frame: self._to_guest(port, frame)
        return port

    def withdraw(self, guest: Guest) -> None:
        """Unplug a VM. What it has waiting is thrown away."""
        self.ledger.withdraw(self.name, guest.vm.name)
        port = self.ports.pop(guest.vm.name)
        port.end.listener = self.switch.ports[port.number].listener = None
        self.scheduler.forget(port.owner)
        self.switch.forget(port.number)

    # -- from a guest to the switch

    def _from_guest(self, port: VirtualPort, frame: bytes) -> None:
        """The virtual card has sent: it read the guest's memory, so the VMM has a copy."""
        why = ""
        if frame[6:12] != port.mac:
            why = "refused: not its own address"
        elif len(frame) > LONGEST:
            why = "refused: too long"
        elif not self.scheduler.push(port.owner, frame):
            why = "refused: its queue is full"
        if why:
            port.counts[why] += 1
            self.trace.emit("refused", port.owner, size=len(frame), note=why)
            return
        self.trace.emit("copy", port.owner, size=len(frame), note="guest memory to the VMM")
        if not self._sending:
            self._send_next()

    def _send_next(self) -> None:
        """The door is free: whose turn is it?"""
        turn = self.scheduler.pop()
        self._sending = turn is not None
        if turn is not None:
            self.clock.after(len(turn.frame) * self.byte_time, self._send_next)
            port = self.ports[turn.sender]
            port.counts["sent"] += 1
            port.counts["bytes sent"] += len(turn.frame)
            self.switch.ports[port.number].send(turn.frame)

    def _to_uplink(self, frame: bytes) -> None:
        self.uplink.send(frame)

    # -- from the switch to a guest

    def _from_uplink(self, frame: bytes) -> None:
        """From outside. Who says there that he is one of the VMs, is not."""
        if any(port.mac == frame[6:12] for port in self.ports.values()):
            note = "refused: a VM's address from outside"
            self.trace.emit("refused", self.name, size=len(frame), note=note)
        else:
            self.switch.ports[0].send(frame)

    def _to_guest(self, port: VirtualPort, frame: bytes) -> None:
        """Rule 2. The rest is the virtual card's business: filters, ring, interrupt."""
        if frame[:6] != port.mac and not is_group(frame):
            port.counts["refused: for another"] += 1
            return
        port.counts["received"] += 1
        self.trace.emit("copy", port.owner, size=len(frame), note="the VMM to guest memory")
        port.end.send(frame)


def set_address(card: E1000, mac: bytes) -> None:
    """Give a virtual card the address `mac`: its EEPROM has it, and so it is after a reset."""
    card.mac = mac
    card.eeprom.words = image(mac)
    card.reset()
