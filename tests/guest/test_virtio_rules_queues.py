"""What a driver must and must not do with queues and interrupts: over whole lives of drivers."""

from itertools import pairwise

import pytest

from tests.guest.virtio_watch import DRIVERS, every, is_status, life
from tests.virtio.devices import Echo
from tests.virtio.rig import DATA, LEGACY, MODERN, RAM, ROOM, Rig
from virtlab.virtio.features import Feature
from virtlab.virtio.status import Interrupt

PART = ("QUEUE_DESC", "QUEUE_DRIVER", "QUEUE_DEVICE")
LEGACY_PLACE = ("QUEUE_PFN", "QUEUE_ADDRESS")


# -- queues (4.1.4.3.2, 4.2.2.2)


def setups(found):
    """For each queue that was enabled: its fields as written since it was selected."""
    place = {}
    for one in found.common():
        if one.name in ("QUEUE_SEL", "QUEUE_SELECT"):
            place = {}
        elif one.write and one.name.startswith("QUEUE") and one.name != "QUEUE_NOTIFY":
            place[one.name, one.at] = one.value
            if one.name in ("QUEUE_READY", "QUEUE_ENABLE") and one.value:
                yield place
        elif one.name.startswith("QUEUE_SIZE"):
            place["largest"] = one.value


@every
def test_a_queue_is_complete_before_it_is_enabled(name, transport, layout, least):
    """4.1.4.3.2, 4.2.3.2; 3.1.1 step 7: size and addresses first, the queue's own bit last."""
    found = life(name, transport, layout, least)
    if transport in LEGACY:
        assert found.writes(*LEGACY_PLACE)
        return
    places = list(setups(found))
    assert len(places) >= 2
    for place in places:
        names = {key[0] for key in place if key != "largest"}
        assert "QUEUE_SIZE" in names
        assert sum(key.startswith(PART) for key in names) in (3, 6)
        assert list(place)[-1][0] in ("QUEUE_READY", "QUEUE_ENABLE")


@every
def test_a_queue_is_never_disabled_over_pci(name, transport, layout, least):
    """4.1.4.3.2: the driver must not write a 0 to queue_enable."""
    assert 0 not in life(name, transport, layout, least).writes("QUEUE_ENABLE")


@every
def test_a_size_is_one_that_the_device_can_have(name, transport, layout, least):
    """4.1.4.3.2, 4.2.2.2: not 0, not above the largest; a power of two, but for a packed ring."""
    found, largest = life(name, transport, layout, least), {}
    selected = 0
    for one in found.common():
        if one.name in ("QUEUE_SEL", "QUEUE_SELECT"):
            selected = one.value
        elif one.name in ("QUEUE_SIZE_MAX", "QUEUE_SIZE") and not one.write:
            largest[selected] = one.value
        elif one.name == "QUEUE_SIZE":
            assert 0 < one.value <= largest[selected]
            assert Feature.RING_PACKED in found.features or one.value & one.value - 1 == 0


@every
def test_while_a_queue_is_ready_its_fields_are_left_alone(name, transport, layout, least):
    """4.2.2.2: the driver must not access size or addresses then, not even to read them."""
    ready, selected = set(), 0
    for one in life(name, transport, layout, least).common():
        if is_status(one) and one.write and not one.value:
            ready.clear()
        elif one.name in ("QUEUE_SEL", "QUEUE_SELECT"):
            selected = one.value
        elif one.name in ("QUEUE_READY", "QUEUE_ENABLE", *LEGACY_PLACE) and one.write:
            (ready.add if one.value else ready.discard)(selected)
        elif one.name == "QUEUE_RESET" and one.write:
            ready.discard(selected)
        elif one.name.startswith(("QUEUE_SIZE", *PART)) and one.name != "QUEUE_SIZE_MAX":
            assert selected not in ready


@every
def test_where_a_queue_lies_is_memory_of_the_driver_and_aligned(name, transport, layout, least):
    """2.7.1, 2.8.11, 6.1: 16, 2 and 4 bytes, or 16 and 4 and 4; addresses as the CPU uses them."""
    found = life(name, transport, layout, least)
    if transport in LEGACY:
        frames = [frame for frame in found.writes(*LEGACY_PLACE) if frame]
        assert frames
        assert all(ROOM <= frame * 4096 < RAM for frame in frames)
        return
    driver_area = 4 if Feature.RING_PACKED in found.features else 2
    low, high = (("_LOW", "_HIGH"), (0, 0)) if transport == "mmio" else (("", ""), (0, 4))
    for place in setups(found):
        for part, align in zip(PART, (16, driver_area, 4), strict=True):
            gpa = place[part + low[0], high[0]] | place[part + low[1], high[1]] << 32
            assert ROOM <= gpa < RAM
            assert gpa % align == 0


@every
def test_buffers_are_memory_of_the_driver(name, transport, layout, least):
    """6.1: without ACCESS_PLATFORM a driver passes physical addresses to the device."""
    buffers = life(name, transport, layout, least).buffers
    assert buffers
    assert all(ROOM <= gpa < RAM for gpa in buffers)


# -- one queue reset (2.6.1)


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("transport", ["mmio", "pci"])
def test_a_reset_of_one_queue_is_verified_and_set_up_again(name, transport):
    """2.6.1.1.2, 2.6.1.2.2: 1 written, 0 read back, the queue out of use; then all fields anew."""
    common = life(name, transport).common()
    resets = [at for at, one in enumerate(common) if one.name == "QUEUE_RESET" and one.write]
    assert len(resets) == 2
    for at in resets:
        after = [one.name for one in common[at + 1 : at + 5]]
        assert after[:2] in (["QUEUE_RESET", "QUEUE_READY"], ["QUEUE_RESET", "QUEUE_ENABLE"])
        assert [one.value for one in common[at : at + 3]] == [1, 0, 0]
        assert after[2:] in (["QUEUE_SEL", "QUEUE_SIZE"], ["QUEUE_SELECT", "QUEUE_SIZE"])


@pytest.mark.parametrize("name", DRIVERS)
def test_a_queue_is_stopped_and_that_is_read_back(name):
    """4.2.2.2: 0 to QueueReady, and read, to be sure that the device knows."""
    common = life(name, "mmio").common()
    stops = [at for at, one in enumerate(common) if one.write and one[1].name == "QUEUE_READY"]
    stops = [at for at in stops if common[at].value == 0]
    assert len(stops) == 2
    for at in stops:
        assert (common[at + 1].name, common[at + 1].write) == ("QUEUE_READY", False)


# -- interrupts (4.1.5.4.2, 4.2.2.2, 4.2.3.4.1)


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("transport", ["mmio", "mmio-legacy"])
def test_an_interrupt_is_acknowledged_by_what_was_read(name, transport):
    """4.2.3.4.1: InterruptStatus is read, and just these events are acknowledged; 4.2.2.2: no
    undefined bit."""
    common = life(name, transport).common()
    told = [(a, b) for a, b in pairwise(common) if b.name == "INTERRUPT_ACK"]
    assert told
    for before, one in told:
        assert (before.name, before.write) == ("INTERRUPT_STATUS", False)
        assert one.value == before.value
        assert one.value & ~(Interrupt.QUEUE | Interrupt.CONFIG) == 0


@pytest.mark.parametrize("transport", [*MODERN, *LEGACY])
def test_one_interrupt_may_mean_both(transport):
    """4.1.5.4.2: used buffers and another configuration, by one interrupt."""
    rig = Rig(Echo(), transport)
    queue = rig.start()
    queue.add_buf([(DATA, 1)], [], "it")
    queue.kick()
    rig.device.configure(bytes(12))
    assert rig.guest.causes() == Interrupt.QUEUE | Interrupt.CONFIG
    assert queue.get_buf() == ("it", 0)
    assert rig.guest.config([(0, 4)]) == [0]


@pytest.mark.parametrize("transport", [*MODERN, *LEGACY])
def test_an_interrupt_for_nothing_does_no_harm(transport):
    """2.7.7.1: the driver must handle spurious notifications from the device."""
    rig = Rig(Echo(), transport)
    queue = rig.start()
    for _ in range(3):
        rig.core.interrupt(Interrupt.QUEUE, 0)
        assert rig.guest.causes() == Interrupt.QUEUE
        assert queue.get_buf() is None
        queue.add_buf([(DATA, 1)], [], "it")
        queue.kick()
        assert queue.get_buf() == ("it", 0)
