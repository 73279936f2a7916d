"""What a device must and must not do over MMIO: virtio 1.3 4.2, where no other file has it.

`docs/conformance.md` says which rule has which test.
"""

import pytest

from tests.virtio.devices import Echo
from tests.virtio.every_device import DEVICES
from tests.virtio.rig import DATA, Rig
from tests.virtio.test_mmio import BOTH, regs
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.virtio.features import Feature
from virtlab.virtio.mmio_registers import MmioRegisters
from virtlab.virtio.status import Interrupt


def ring(rig, index=0):
    """A request of one byte, and the doorbell."""
    rig.guest.queues[index].add_buf([(DATA, 1)], [], "it")
    rig.guest.queues[index].kick()


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize(("transport", "version"), [("mmio", 2), ("mmio-legacy", 1)])
def test_magic_and_version_of_every_device(name, transport, version):
    """4.2.2.1; and its own id."""
    rig = Rig(DEVICES[name](), transport)
    get, _ = regs(rig)
    found = get("MAGIC_VALUE"), get("VERSION"), get("DEVICE_ID")
    assert found == (0x7472_6976, version, rig.device.device_id)


@pytest.mark.parametrize("transport", BOTH)
def test_an_event_is_shown_from_when_it_happens_until_it_is_acknowledged(transport):
    """4.2.2.1: each event its bit, before the wire rises; bits of no event stay zero."""
    rig = Rig(Echo(), transport)
    rig.start()
    get, put = regs(rig)
    seen = []
    rig.irq.sink = lambda level: seen.append((level, get("INTERRUPT_STATUS")))
    assert get("INTERRUPT_STATUS") == 0
    ring(rig)
    assert seen == [(True, Interrupt.QUEUE)]
    ring(rig)
    rig.device.configure(bytes(12))
    assert get("INTERRUPT_STATUS") == Interrupt.QUEUE | Interrupt.CONFIG
    for register in ("STATUS", "QUEUE_SIZE_MAX", "DEVICE_ID"):
        get(register)
    assert get("INTERRUPT_STATUS") == 3, "only InterruptACK takes it away"
    put("INTERRUPT_ACK", Interrupt.QUEUE)
    assert get("INTERRUPT_STATUS") == Interrupt.CONFIG
    put("INTERRUPT_ACK", Interrupt.CONFIG)
    assert get("INTERRUPT_STATUS") == 0
    assert seen[-1] == (False, 0)


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_a_reset_clears_interrupt_status_and_every_queue_ready(layout):
    """4.2.2.1."""
    rig = Rig(Echo(), "mmio")
    rig.start(layout, queues=2)
    ring(rig)
    rig.device.configure(bytes(12))
    get, put = regs(rig)

    def ready():
        found = []
        for index in range(2):
            put("QUEUE_SEL", index)
            found.append(get("QUEUE_READY"))
        return found

    assert (get("INTERRUPT_STATUS"), ready()) == (3, [1, 1])
    put("STATUS", 0)
    assert (get("INTERRUPT_STATUS"), ready()) == (0, [0, 0])


class Counted:
    """A `Dma` that counts how often it is used."""

    def __init__(self, ram):
        self.ram, self.used = ram, 0

    def read(self, iova, length):
        self.used += 1
        return self.ram.read(iova, length)

    def write(self, iova, data):
        self.used += 1
        self.ram.write(iova, data)

    def view(self, iova, length, write=False):
        self.used += 1
        return self.ram.view(iova, length, write)


@pytest.mark.parametrize("layout", ["split", "packed"])
def test_nothing_of_a_queue_is_read_or_written_while_it_is_not_ready(layout):
    """4.2.2.1: the device must not access virtqueue contents when QueueReady is 0."""
    rig = Rig(Echo(), "mmio")
    dma = Counted(rig.ram)
    for setup in rig.core.queues:
        setup.dma = dma
    rig.start(layout)
    ring(rig)
    assert dma.used
    for stop in (rig.transport.stop_queue, rig.transport.reset_queue):
        stop(0)
        dma.used = 0
        rig.core.notify(0)
        rig.device.arrived(0)
        rig.device.configure(bytes(12))
        assert dma.used == 0


def test_queue_reset_through_a_life():
    """4.2.2.1: 0 on reset and after QueueReady; 1 resets the queue, and then both read 0."""
    rig = Rig(Echo(), "mmio")
    get, put = regs(rig)
    assert get("QUEUE_RESET") == 0
    rig.start(understood=RING_FEATURES)
    assert Feature.RING_RESET in rig.core.features
    put("QUEUE_SEL", 0)
    assert (get("QUEUE_RESET"), get("QUEUE_READY")) == (0, 1)
    ring(rig)
    put("QUEUE_RESET", 1)
    assert (get("QUEUE_RESET"), get("QUEUE_READY")) == (0, 0)
    assert rig.core.queues[0].queue.last_avail == 0
    assert rig.device.queue_resets == [0]
    put("QUEUE_RESET", 1)
    put("STATUS", 0)
    assert (get("QUEUE_RESET"), get("QUEUE_READY")) == (0, 0)


@pytest.mark.parametrize("name", ["blk", "net", "console"])
def test_the_generation_moves_with_the_configuration(name):
    """4.2.2.1: another value wherever a driver might see halves of two configurations."""
    rig = Rig(DEVICES[name](), "mmio")
    rig.start()
    config = rig.device.config
    for number in range(1, 5):
        before = rig.transport.generation()
        rig.transport.config_read(0, 1)
        rig.device.configure(bytes([number]) + config[1:])
        rig.transport.config_read(0, 1)
        assert rig.transport.generation() != before
    assert rig.card.read(MmioRegisters.STATUS.offset, 4) == 15
