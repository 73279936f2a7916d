"""The guests of the two ways: a disk and a card, each behind its emulated and its virtio device.

    PioDisk, DmaDisk   AtaDriver      VirtioDisk   BlkDriver       take(sectors), put(sectors, data)
    E1000Card          E1000Driver    VirtioCard   NetDriver       send(frames), receive(count)

The idea: every guest does the same work with the driver that the library has for its device. What
differs lies in the driver, and that is the comparison.

The rules that keep it simple: a batch is shown to the device as a whole, and waited for as a whole.
A guest that sleeps does `HLT`, asks the device why it was woken, and ends the interrupt, in this
order: the wire has a level. A guest that looks reads its own memory, which costs no exit.

The VMM's back-ends here have their answer before the doorbell returns. So the interrupt waits
already when the guest does its `HLT`, and wakes it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from virtlab.backends import SECTOR
from virtlab.cpu import Cpu
from virtlab.devices.e1000.rings import ReceiveRing
from virtlab.guest.ata import AtaDriver
from virtlab.guest.e1000 import E1000Driver
from virtlab.guest.e1000.rings import ReceiveQueue
from virtlab.guest.pic import Pics
from virtlab.guest.virtio_blk import BlkDriver
from virtlab.guest.virtio_device import Queue
from virtlab.guest.virtio_net import NetDriver
from virtlab.guest.virtio_transport import poll
from virtlab.show.path_choice import REQUEST
from virtlab.virtio.blk_layouts import BlkStatus, BlkType

SECTORS = REQUEST // SECTOR
"""Sectors of a request."""


class Sleep:
    """How a guest is woken: by a wire through the 8259As, or, with no `irq`, by a message."""

    def __init__(self, pics: Pics, irq: int | None) -> None:
        self.pics, self.irq = pics, irq
        if irq is not None:
            pics.unmask(irq)

    def __call__(self, causes: Callable[[], object]) -> None:
        """Until the device calls: ask it by `causes`, and end the interrupt.

        `TimeoutError` if nobody calls, or another device does.
        """
        if self.irq is None:
            if self.pics.cpu.wait() is None:
                raise TimeoutError("no message comes")
            return
        irq = self.pics.next_irq()
        if irq != self.irq:
            raise TimeoutError(f"IRQ {self.irq} does not come, but {irq}")
        causes()
        self.pics.eoi(self.irq)


class DiskGuest(Protocol):
    """A guest with a disk: blocks of `REQUEST` bytes, by their first sectors."""

    def take(self, sectors: Sequence[int]) -> list[bytes]:
        """Read them."""

    def put(self, sectors: Sequence[int], data: Sequence[bytes]) -> None:
        """Write them."""


class CardGuest(Protocol):
    """A guest with a network card."""

    def send(self, frames: Sequence[bytes]) -> None:
        """Send them; the card has them when this returns."""

    def receive(self, count: int) -> list[bytes]:
        """The next `count` frames, which are there already, or come."""


class PioDisk:
    """Word by word. The drive knows one command at a time, so a batch is a loop."""

    def __init__(self, driver: AtaDriver) -> None:
        self.driver = driver

    def take(self, sectors: Sequence[int]) -> list[bytes]:
        """Read them, one after another."""
        return [self.driver.read(sector, SECTORS) for sector in sectors]

    def put(self, sectors: Sequence[int], data: Sequence[bytes]) -> None:
        """Write them, one after another."""
        for sector, block in zip(sectors, data, strict=True):
            self.driver.write(sector, block)


class DmaDisk:
    """By the bus master, through a `buffer` of the guest's (gpa). One command at a time, too."""

    def __init__(self, driver: AtaDriver, buffer: int) -> None:
        self.driver, self.buffer = driver, buffer

    def take(self, sectors: Sequence[int]) -> list[bytes]:
        """Read them, one after another."""
        found = []
        for sector in sectors:
            self.driver.read_dma(sector, [(self.buffer, REQUEST)])
            found.append(self.driver.cpu.read(self.buffer, REQUEST))
        return found

    def put(self, sectors: Sequence[int], data: Sequence[bytes]) -> None:
        """Write them, one after another."""
        for sector, block in zip(sectors, data, strict=True):
            self.driver.cpu.write(self.buffer, block)
            self.driver.write_dma(sector, [(self.buffer, REQUEST)])


class Bundled(ReceiveQueue):
    """The e1000's receive ring, whose buffers go back together, by `give_back_all`."""

    def _give_back(self) -> None:
        self._give(self.next)
        self.next = (self.next + 1) % self.size

    def give_back_all(self) -> None:
        """The tail stands at the last one that was read."""
        self.card.put(ReceiveRing.RDT, (self.next - 1) % self.size)


def bundle(driver: E1000Driver) -> None:
    """Give `driver`, before its start, such a ring in the place of its own."""
    ring = driver.receiving
    driver.receiving = Bundled(driver, ring.ring, ring.size, ring.buffers)


class E1000Card:
    """The emulated card. It reports every packet, in both directions, in one register."""

    def __init__(self, driver: E1000Driver, sleep: Sleep | None) -> None:
        self.driver, self.sleep = driver, sleep
        if sleep is not None:
            driver.unmask("TXDW", "RXT0")

    def send(self, frames: Sequence[bytes]) -> None:
        """Describe all, move the tail once."""
        ring = self.driver.transmit
        for frame in frames:
            ring.queue(frame)
        ring.ring_doorbell()
        self._wait()
        ring.flush()

    def receive(self, count: int) -> list[bytes]:
        """Take them out of the ring; the buffers go back by the tail."""
        self._wait()
        ring = self.driver.receiving
        found = [ring.receive() for _ in range(count)]
        if isinstance(ring, Bundled):
            ring.give_back_all()
        return [got.frame for got in found if got is not None]

    def _wait(self) -> None:
        if self.sleep is not None:
            self.sleep(self.driver.causes)


class Waiting:
    """How a virtio guest waits for `queue`: asleep, or by looking.

    One that sleeps wants an interrupt for each batch, and never takes that wish back.
    """

    def __init__(
        self, cpu: Cpu, queue: Queue, causes: Callable[[], object], sleep: Sleep | None
    ) -> None:
        self.cpu, self.causes, self.sleep = cpu, causes, sleep
        if sleep is not None:
            queue.enable_cb()

    def until(self, done: Callable[[], bool]) -> None:
        """Return when it is `done`. `TimeoutError` if it never is."""
        if self.sleep is not None:
            self.sleep(self.causes)
        if not poll(self.cpu, done):
            raise TimeoutError("the device does not answer")


class VirtioDisk:
    """A virtio block device: all requests of a batch in flight, one doorbell."""

    def __init__(self, driver: BlkDriver, sleep: Sleep | None) -> None:
        assert driver.requests is not None
        self.slots = driver.requests.slots
        self.waiting = Waiting(driver.cpu, self.slots.queue, driver.virtio.causes, sleep)

    def take(self, sectors: Sequence[int]) -> list[bytes]:
        """Read them, all at once."""
        slots = self.slots.submit(BlkType.IN, list(sectors), REQUEST)
        self._finish(len(sectors))
        data = self.slots.get(slots, np.full(len(slots), REQUEST))
        self.slots.release(slots)
        return data

    def put(self, sectors: Sequence[int], data: Sequence[bytes]) -> None:
        """Write them, all at once."""
        slots = self.slots.submit(BlkType.OUT, list(sectors), REQUEST)
        self.slots.put(slots, data)
        self._finish(len(sectors))
        self.slots.release(slots)

    def _finish(self, count: int) -> None:
        """Ring, and wait for all. `OSError` if one fails."""
        left = count

        def done() -> bool:
            nonlocal left
            found = self.slots.finish()
            if (found.status != BlkStatus.OK).any():
                raise OSError("the disk refuses a request")
            left -= len(found.slots)
            return left == 0

        self.slots.kick()
        self.waiting.until(done)


class VirtioCard:
    """A virtio network device: a doorbell for a batch out, and one when buffers go back."""

    def __init__(self, driver: NetDriver, sleep: Sleep | None) -> None:
        self.out, self.back = driver.sending[0], driver.receiving[0]
        causes = driver.virtio.causes
        self.sent = Waiting(driver.cpu, self.out.queue, causes, sleep)
        self.arrived = Waiting(driver.cpu, self.back.queue, causes, sleep)

    def send(self, frames: Sequence[bytes]) -> None:
        """Send them, all at once."""
        self.out.send(frames)
        self.sent.until(lambda: self.out.reclaim() == self.out.count)

    def receive(self, count: int) -> list[bytes]:
        """Take them out of the ring. Their buffers go back together."""
        found: list[bytes] = []

        def done() -> bool:
            found.extend(packet.frame for packet in self.back.receive())
            return len(found) >= count

        self.arrived.until(done)
        return found
