"""What a device must and must not do, whatever it is and whatever carries it: virtio 1.3 2, 3, 6.

`docs/conformance.md` says which rule has which test; most are in the files of their subject. Here
are those that hold for every device, over every transport, ring and memory.
"""

import pytest

from tests.virtio.devices import Echo
from tests.virtio.every_device import DEVICES, EVERY, IN, OUT, PLACE, image, send
from tests.virtio.rig import MODERN, MODERN_WORLDS, WORLDS, Rig
from virtlab.backends import Link
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature, from_bits
from virtlab.virtio.mmio import VirtioMmio
from virtlab.virtio.negotiation import ANY_LAYOUT
from virtlab.virtio.net import VirtioNet
from virtlab.virtio.rng import VirtioRng, seeded
from virtlab.virtio.session import RING_FEATURES as RING

# -- features (2.2.2, 6.2, 6.3)


OWN = {
    "blk": {2, 6, 9, 10, 11, 12, 13, 14},
    "net": {0, 3, 5, 15, 16, 17, 18, 19, 20, 21, 22, 23},
    "console": {0, 1, 2},
    "rng": set(),
}
"""The bits of its own that each device offers: nothing of zones, hashes, offloads, coalescing."""


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("transport", EVERY)
def test_no_device_offers_what_is_reserved_or_left_out(name, transport):
    """2.2.2, 6.2, 6.3: no reserved bit; no SR_IOV, ADMIN_VQ, ACCESS or ORDER_PLATFORM."""
    rig = Rig(DEVICES[name](), transport)
    offered = from_bits(rig.transport.device_features())
    known = RING | {Feature.VERSION_1, Feature.IN_ORDER}
    known |= {Feature.NOTIF_CONFIG_DATA} if transport.startswith("pci") else set()
    ring = {bit for bit in offered if 24 <= bit < 50}
    if rig.legacy:
        assert ring <= {bit for bit in known if bit < 32} | {ANY_LAYOUT}
        assert max(offered) < 32
        assert ANY_LAYOUT in offered
    else:
        assert ring <= known
        assert Feature.VERSION_1 in offered
    assert offered - ring == OWN[name]


@pytest.mark.parametrize("bit", [24, 30, 33, 36, 37, 39, 41, 42, 49])
def test_a_device_cannot_be_made_that_offers_what_nothing_here_can_do(bit):
    """2.2.2: neither of its own nor of the ring. 33 and 36 are for a board to offer."""
    if bit not in (33, 36):
        with pytest.raises(ValueError, match="nothing here can do"):
            VirtioMmio(Echo(features={bit}), GuestMemory(4096), IrqLine())
        with pytest.raises(ValueError, match="nothing here can do"):
            VirtioMmio(Echo(), GuestMemory(4096), IrqLine(), ring={bit})
    for own in (0, 23, 50, 63, Feature.IN_ORDER):
        assert own in VirtioMmio(Echo(features={own}), GuestMemory(4096), IrqLine()).core.offered


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_in_order_is_kept(transport, layout):
    """6.2: with IN_ORDER buffers are used in the order in which they were made available."""
    rig = Rig(VirtioRng(seeded(1), 64), transport)
    queue = rig.start(layout)
    assert (Feature.IN_ORDER in rig.core.features) != rig.legacy
    for start in range(0, 200, 20):
        for token in range(start, start + 20):
            queue.add_buf([], [(IN + PLACE * (token - start), 1 + token)], token)
        queue.kick()
        found = [queue.get_buf() for _ in range(20)]
        assert found == [(token, 1 + token) for token in range(start, start + 20)]


# -- reset (2.4.1)


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_after_a_reset_nothing_moves_until_a_driver_begins_anew(transport, layout):
    """2.4.1: no notification, no interaction with the queues; whatever the world has to say."""
    rig = Rig(Echo(), transport)
    rig.start(layout, queues=2)
    send(rig, b"before")
    rig.transport.interrupts()
    queue = rig.guest.queues[1]
    rig.transport.set_status(0)
    queue.add_buf([(OUT, 4)], [(IN, 4)], "late")
    queue.kick()
    before, calls = image(rig), list(rig.device.calls)
    rig.pins.clear()
    for index in range(3):
        rig.core.notify(index)
        rig.device.arrived(index)
    rig.device.configure(bytes(12))
    assert image(rig) == before
    assert rig.device.calls == calls
    assert rig.pins == []
    assert not rig.irq.level


@pytest.mark.parametrize(("transport", "layout"), MODERN_WORLDS)
def test_before_driver_ok_no_notification_is_sent(transport, layout):
    """2.1.2: neither of buffers nor of another configuration."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.guest.negotiate(RING_FEATURES - ({Feature.RING_PACKED} if layout == "split" else set()))
    rig.guest.add_queue(0)
    rig.pins.clear()
    send(rig, b"early")
    rig.device.arrived(0)
    rig.device.configure(bytes(12))
    assert rig.pins == []
    assert rig.guest.queues[0].get_buf() is None


# -- one queue reset (2.6.1)


@pytest.mark.parametrize("layout", ["split", "packed"])
@pytest.mark.parametrize("transport", MODERN)
def test_after_its_reset_nothing_is_done_in_a_queue(transport, layout):
    """2.6.1.1.1: no request executed, no notification; a packet that comes in stays outside."""
    link = Link("cable")
    rig = Rig(VirtioNet(link.a), transport)
    queue = rig.start(layout, queues=2)
    for number in range(4):
        queue.add_buf([], [(IN + 0x800 * number, 0x800)], number)
    queue.kick()
    frame = b"\xff" * 6 + b"\x02" * 6 + bytes(60)
    link.b.send(frame)
    assert queue.get_buf() is not None
    rig.transport.interrupts()
    rig.transport.reset_queue(0)
    rig.pins.clear()
    before = image(rig)
    link.b.send(frame)
    rig.core.notify(0)
    assert image(rig) == before
    assert rig.pins == []
    assert rig.core.queues[0].queue.in_flight == 0


@pytest.mark.parametrize(("transport", "layout"), MODERN_WORLDS)
def test_a_queue_is_enabled_again_elsewhere_and_with_another_size(transport, layout):
    """2.6.1.2.1: the device observes what the driver has changed."""
    rig = Rig(Echo(), transport)
    queue = rig.start(layout)
    send(rig, b"first")
    assert queue.get_buf() == ("it", 5)
    for size in (2, 8, 4):
        rig.transport.reset_queue(0)
        del rig.guest.queues[0]
        moved = rig.guest.add_queue(0, size)
        setup = rig.core.queues[0]
        assert (setup.queue.size, setup.desc) == (size, moved.rings.desc)
        for number in range(2 * size):
            send(rig, b"again")
            assert moved.get_buf() == ("it", 5), number


# -- configuration (2.5.2)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("transport", EVERY)
def test_every_field_is_there_before_features_ok(name, transport):
    """2.5.2: the device allows reading of any field of its configuration before FEATURES_OK."""
    rig = Rig(DEVICES[name](), transport)
    rig.guest.begin()
    config = rig.device.config
    found = [rig.transport.config_read(at, 1) for at in range(len(config))]
    assert bytes(found) == config
    assert rig.trace.counts["refused"] == 0
