"""What every transport does, whatever its registers: virtio 1.3 2.1 to 2.6, 3.1."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtio.devices import Echo
from tests.virtio.rig import (
    ALL_STEPS,
    DATA,
    LEGACY,
    MODERN,
    MODERN_WORLDS,
    RAM,
    ROOM,
    WORLDS,
    Rig,
)
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, SplitRings, packer
from virtlab.virtio.mmio import VirtioMmio
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.session import RING_FEATURES
from virtlab.virtio.status import Interrupt, Status
from virtlab.virtio.transport import ROUNDS

EVERY = MODERN + LEGACY
NONE = frozenset()


def say(rig, text, queue=None, token="it"):
    """Send `text` through a queue; gives what comes back, or None."""
    queue = queue or rig.guest.queues[0]
    rig.ram.write(DATA, text)
    rig.ram.write(DATA + 0x800, bytes(len(text)))
    queue.add_buf([(DATA, len(text))], [(DATA + 0x800, len(text))], token)
    queue.kick()
    used = queue.get_buf()
    return rig.ram.read(DATA + 0x800, used.written) if used else None


# -- the way from reset to DRIVER_OK


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_device_is_found_started_and_used(transport, layout):
    rig = Rig(Echo(), transport)
    rig.start(layout, queues=2)
    assert say(rig, b"hello") == b"hello"
    assert say(rig, b"to the other", rig.guest.queues[1]) == b"to the other"
    assert rig.device.calls[-2:] == [0, 1]
    assert (Feature.RING_PACKED in rig.core.features) == (layout == "packed")


@pytest.mark.parametrize("transport", MODERN)
def test_before_driver_ok_nothing_is_consumed_and_then_it_is(transport):
    """2.1.2: the device must not consume buffers before DRIVER_OK. A ring before waits."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.guest.negotiate(RING_FEATURES | {Feature.VERSION_1})
    queue = rig.guest.add_queue(0)
    assert say(rig, b"early") is None
    assert rig.device.calls == []
    rig.guest.ready()
    assert queue.get_buf().written == 5


@pytest.mark.parametrize("transport", MODERN)
def test_with_driver_ok_the_device_looks_at_what_was_filled_before(transport):
    """3.1.1 step 7 populates the queues; whether a ring follows is the driver's choice."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.guest.negotiate(RING_FEATURES | {Feature.VERSION_1})
    queue = rig.guest.add_queue(0)
    queue.ring_bell = lambda: None
    assert say(rig, b"early") is None
    rig.guest.ready()
    assert queue.get_buf().written == 5


@pytest.mark.parametrize("transport", LEGACY)
def test_a_legacy_device_may_be_used_before_driver_ok(transport):
    """3.1.2."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.guest.negotiate(NONE)
    rig.guest.add_queue(0)
    assert say(rig, b"early") == b"early"


@pytest.mark.parametrize("transport", MODERN)
def test_features_that_were_not_offered_are_not_agreed_to(transport):
    """2.2.2: FEATURES_OK does not stay set."""
    rig = Rig(Echo(features={3}), transport)
    rig.guest.begin()
    rig.transport.accept(frozenset({Feature.VERSION_1, 4}))
    rig.transport.set_status(11)
    assert rig.transport.status() == 3
    rig.transport.accept(frozenset({Feature.VERSION_1, 3}))
    rig.transport.set_status(11)
    assert rig.transport.status() == 11
    assert rig.core.features == {Feature.VERSION_1, 3}


@pytest.mark.parametrize("transport", MODERN)
def test_a_modern_driver_accepts_version_1_or_nothing(transport):
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.transport.accept(NONE)
    rig.transport.set_status(11)
    assert rig.transport.status() == 3


@pytest.mark.parametrize("transport", EVERY)
def test_features_are_settled_once(transport):
    """3.1.1: the driver must not accept new features after FEATURES_OK, or after first use."""
    rig = Rig(Echo(features={3}), transport)
    rig.start()
    agreed = rig.core.features
    rig.transport.accept(frozenset({3}))
    assert rig.core.features == agreed
    assert 3 not in agreed


@pytest.mark.parametrize("transport", LEGACY)
def test_of_what_a_legacy_driver_accepts_only_the_offer_counts(transport):
    rig = Rig(Echo(features={3}), transport)
    rig.guest.begin()
    rig.transport.accept(frozenset({3, 4, Feature.RING_EVENT_IDX}))
    assert rig.core.features == {3, Feature.RING_EVENT_IDX}


@pytest.mark.parametrize("transport", MODERN)
def test_no_queue_before_the_features_are_settled(transport):
    rig = Rig(Echo(), transport)
    rig.trace.on = True
    rig.guest.begin()
    rig.transport.set_queue(0, 8, (ROOM, ROOM + 0x100, ROOM + 0x200))
    assert not rig.core.queues[0].ready
    assert "before FEATURES_OK" in rig.notes("refused")[-1]


# -- reset


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_reset_forgets_everything_and_the_device_can_be_used_again(transport, layout):
    """2.4.1."""
    rig = Rig(Echo(), transport)
    for round_ in range(3):
        queue = rig.start(layout, queues=2)
        assert say(rig, b"again") == b"again"
        resets = rig.device.resets
        rig.transport.set_status(0)
        assert rig.device.resets == resets + 1
        assert rig.transport.status() == 0
        assert rig.core.features == NONE
        assert not any(setup.ready for setup in rig.core.queues)
        assert not rig.irq.level
        assert say(rig, b"nobody", queue) is None
        assert rig.device.served == round_ + 1


@pytest.mark.parametrize("transport", EVERY)
def test_a_reset_at_every_step(transport):
    for steps in range(4):
        rig = Rig(Echo(), transport)
        rig.guest.begin()
        if steps > 0:
            rig.guest.negotiate(RING_FEATURES | {Feature.VERSION_1} if not rig.legacy else NONE)
        if steps > 1:
            rig.guest.add_queue(0)
        if steps > 2:
            rig.guest.ready()
        rig.transport.set_status(0)
        assert rig.core.status == 0
        rig.start()
        assert say(rig, b"fine") == b"fine"


# -- queues


@pytest.mark.parametrize("transport", EVERY)
def test_there_is_no_queue_past_the_last(transport):
    """4.1.4.3.1, 4.2.2: its size is 0. What is written to it is lost; a doorbell too."""
    rig = Rig(Echo(), transport)
    rig.start()
    for index in (2, 3, 255, 0xFFFF):
        assert rig.transport.queue_max(index) == 0
    before = list(rig.device.calls)
    rig.core.notify(2)
    rig.core.notify(0xFFFF_FFFF)
    assert rig.device.calls == before
    assert say(rig, b"fine") == b"fine"


SIZES = [0, 3, 5, 6, 9, 16, 0x7FFF, 0x8000, 0xFFFF]


@pytest.mark.parametrize("transport", MODERN)
@pytest.mark.parametrize("size", SIZES)
def test_a_size_that_a_split_queue_cannot_have_breaks_the_device(transport, size):
    """4.1.4.3.2, 4.2.2.2: not 0, not above the largest, a power of two."""
    rig = Rig(Echo(), transport)
    rig.trace.on = True
    rig.guest.begin()
    rig.guest.negotiate(frozenset({Feature.VERSION_1}))
    rig.transport.set_queue(0, size, (ROOM, ROOM + 0x1000, ROOM + 0x2000))
    assert rig.broken
    assert rig.core.queues[0].size == 8
    assert "4.2.2.2" in rig.notes("guest error")[0]


@pytest.mark.parametrize("transport", MODERN)
@pytest.mark.parametrize("size", range(1, 9))
def test_a_packed_queue_has_any_size_up_to_the_largest(transport, size):
    """2.8: the queue size is what the driver chooses, and no power of two."""
    rig = Rig(Echo(), transport)
    rig.start("packed", size=size)
    for number in range(20):
        text = b"%d" % number
        if size > 1:
            assert say(rig, text) == text
    assert rig.core.queues[0].size == size


BAD_AREAS = [
    ((ROOM + 8, ROOM + 0x100, ROOM + 0x200), "2.7.1"),
    ((ROOM, ROOM + 0x101, ROOM + 0x200), "2.7.1"),
    ((ROOM, ROOM + 0x100, ROOM + 0x202), "2.7.1"),
    ((ROOM, ROOM + 0x10, ROOM + 0x200), "2.7"),
    ((ROOM, ROOM, ROOM), "2.7"),
    (((1 << 64) - 16, ROOM, ROOM + 0x200), "2.7"),
    ((ROOM, ROOM + 0x100, (1 << 64) - 4), "2.7"),
]


@pytest.mark.parametrize("transport", MODERN)
@pytest.mark.parametrize(("areas", "clause"), BAD_AREAS)
def test_areas_where_no_queue_can_lie_break_the_device(transport, areas, clause):
    rig = Rig(Echo(), transport)
    rig.trace.on = True
    rig.guest.begin()
    rig.guest.negotiate(frozenset({Feature.VERSION_1}))
    rig.transport.set_queue(0, 8, areas)
    assert rig.broken
    assert not rig.core.queues[0].ready
    assert f"virtio 1.3 {clause}" in rig.notes("guest error")[0]


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_queue_that_is_no_memory_breaks_the_device_when_it_is_used(transport, layout):
    rig = Rig(Echo(), transport)
    rig.trace.on = True
    rig.start(layout, without=RING_FEATURES - {Feature.RING_PACKED})
    setup = rig.core.queues[1]
    if rig.legacy:
        setup.enable_legacy(0x8000_0, 4096, rig.core.features)
    else:
        setup.desc, setup.driver, setup.device = 0x8000_0000, 0x8000_1000, 0x8000_2000
        setup.enable(rig.core.features)
    rig.core.notify(1)
    assert rig.broken
    said = rig.notes("guest error")[0]
    assert "memory" in said
    assert "2 bytes at 0x8000" in said


@pytest.mark.parametrize("transport", MODERN)
def test_while_a_queue_is_in_use_its_numbers_stay(transport):
    """4.2.2.2."""
    rig = Rig(Echo(), transport)
    rig.start()
    before = vars(rig.core.queues[0]).copy()
    rig.transport.set_queue(0, 4, (0, 0, 0))
    assert vars(rig.core.queues[0]) == before
    assert say(rig, b"fine") == b"fine"


def test_a_largest_size_is_a_power_of_two():
    for size in (0, 3, 65536, -2):
        with pytest.raises(ValueError, match="a power of two"):
            VirtioMmio(Echo([size]), GuestMemory(4096), IrqLine())


# -- one queue reset


@pytest.mark.parametrize(("transport", "layout"), MODERN_WORLDS)
def test_one_queue_is_reset_and_used_again(transport, layout):
    """2.6.1: its state is as at first; the other queue goes on."""
    rig = Rig(Echo(), transport)
    rig.start(layout, queues=2)
    for _ in range(3):
        assert say(rig, b"zero") == b"zero"
        assert rig.guest.reset_queue(0) == []
        assert rig.core.queues[0].queue.last_avail == 0
        assert say(rig, b"zero") == b"zero"
        assert say(rig, b"one", rig.guest.queues[1]) == b"one"
    assert rig.device.queue_resets == [0, 0, 0]


@pytest.mark.parametrize("transport", MODERN)
def test_a_queue_that_was_reset_may_have_another_size(transport):
    """2.6.1.2.1: the device observes what the driver changed."""
    rig = Rig(Echo(), transport)
    rig.start(size=2)
    rig.transport.reset_queue(0)
    setup = rig.core.queues[0]
    assert (setup.size, setup.desc, setup.ready) == (8, 0, False)


@pytest.mark.parametrize("transport", MODERN)
def test_without_the_feature_a_queue_cannot_be_reset_alone(transport):
    rig = Rig(Echo(), transport)
    rig.start(without={Feature.RING_RESET})
    with pytest.raises(VirtioFailed, match="still in use"):
        rig.transport.reset_queue(0)
    assert rig.device.queue_resets == []
    assert say(rig, b"fine") == b"fine"


# -- what the guest does wrong


def spoil(rig):
    """A chain whose buffer is no memory."""
    queue = rig.guest.queues[0]
    queue.add_buf([(RAM + 0x1000, 4)], [], "wrong")
    queue.kick()


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_broken_rule_is_seen_in_status_interrupt_and_trace(transport, layout):
    """2.1.2: DEVICE_NEEDS_RESET, and if DRIVER_OK is set a configuration change notification."""
    rig = Rig(Echo(), transport)
    rig.trace.on = True
    rig.start(layout, queues=2)
    rig.transport.interrupts()
    spoil(rig)
    assert rig.guest.needs_reset
    assert rig.irq.level
    assert rig.transport.interrupts() & Interrupt.CONFIG
    assert rig.trace.counts["guest error"] == 1
    assert "no memory there" in rig.notes("guest error")[0]
    assert say(rig, b"dead", rig.guest.queues[1]) is None
    rig.start(layout)
    assert say(rig, b"well again") == b"well again"


@pytest.mark.parametrize("transport", MODERN)
def test_a_wish_to_be_told_that_is_no_memory_breaks_the_device(transport):
    """The last field of the available ring, `used_event`, is the first byte behind the RAM."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.guest.negotiate(frozenset({Feature.VERSION_1, Feature.RING_EVENT_IDX}))
    rings = SplitRings(8, ROOM, RAM - 4 - 2 * 8, ROOM + 0x1000)
    rig.transport.set_queue(0, 8, (rings.desc, rings.avail, rings.used))
    rig.ram.write(rings.desc, packer(DESC).pack(DATA, 1, 0, 0))
    rig.ram.store(rings.avail_field("idx"), 2, 1)
    rig.transport.set_status(ALL_STEPS)
    assert rig.device.served == 1
    assert rig.broken
    rig.core.queues[0].queue._check()


@pytest.mark.parametrize("transport", LEGACY)
def test_before_driver_ok_a_broken_rule_does_not_interrupt(transport):
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.guest.negotiate(NONE)
    rig.guest.add_queue(0)
    spoil(rig)
    assert rig.guest.needs_reset
    assert not rig.irq.level


@pytest.mark.parametrize("transport", EVERY)
def test_after_failed_nothing_is_done(transport):
    """2.1.1: the driver has given up; it must reset the device first."""
    rig = Rig(Echo(), transport)
    rig.start()
    rig.transport.set_status(rig.transport.status() | Status.FAILED)
    assert say(rig, b"hello") is None
    rig.transport.set_status(ALL_STEPS | Status.FAILED)
    assert say(rig, b"hello") is None


# -- interrupts


@pytest.mark.parametrize(("transport", "layout"), WORLDS)
def test_a_used_buffer_interrupts_unless_the_driver_asked_for_silence(transport, layout):
    rig = Rig(Echo(), transport)
    queue = rig.start(layout)
    say(rig, b"one")
    assert rig.irq.level
    assert rig.transport.interrupts() == Interrupt.QUEUE
    assert not rig.irq.level
    queue.disable_cb()
    say(rig, b"two")
    assert not rig.irq.level
    queue.enable_cb()
    say(rig, b"three")
    assert rig.transport.interrupts() == Interrupt.QUEUE


# -- configuration


@pytest.mark.parametrize("transport", EVERY)
def test_the_configuration_is_read_in_any_width(transport):
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    read = rig.transport.config_read
    assert [read(at, 1) for at in range(12)] == list(range(12))
    assert (read(2, 2), read(8, 4)) == (0x0302, 0x0B0A0908)


@pytest.mark.parametrize("transport", EVERY)
def test_past_the_end_of_the_configuration_there_is_nothing(transport):
    rig = Rig(Echo(config=bytes(6)), transport)
    rig.start()
    assert rig.core.read_config(4, 4) == 0xFFFF_FFFF
    assert rig.core.read_config(6, 1) == 0xFF
    rig.core.write_config(4, 4, 0)
    assert rig.device.config == bytes(6)


@pytest.mark.parametrize("transport", EVERY)
def test_a_changed_configuration_has_another_generation_and_interrupts(transport):
    """2.5, 4.1.4.3.1: the generation moves once the driver has read what changed."""
    rig = Rig(Echo(), transport)
    rig.device.configure(bytes(12))
    assert not rig.irq.level
    rig.start()
    assert rig.transport.config_read(0, 4) == 0
    first = rig.transport.generation()
    rig.device.configure(bytes(range(20, 32)))
    assert rig.transport.interrupts() == Interrupt.CONFIG
    assert rig.guest.config([(0, 4), (8, 1)]) == [0x17161514, 28]
    second = rig.transport.generation()
    assert rig.legacy or second != first
    assert rig.transport.config_read(0, 4) == 0x17161514
    assert rig.transport.generation() == second


def test_many_changes_between_two_readings_are_one_generation():
    """4.1.4.3.1: counting every change could wrap 8 bits and look like none."""
    rig = Rig(Echo(), "pci")
    rig.start()
    rig.transport.config_read(0, 1)
    before = rig.transport.generation()
    for number in range(256):
        rig.device.configure(bytes([number] * 12))
    rig.transport.config_read(0, 1)
    assert rig.transport.generation() == before + 1


@pytest.mark.parametrize("transport", EVERY)
def test_the_driver_writes_what_may_be_written(transport):
    rig = Rig(Echo(), transport)
    rig.start()
    rig.transport.config_write(4, 4, 0x11223344)
    rig.transport.config_write(0, 4, 0)
    rig.transport.config_write(8, 4, 0)
    assert rig.device.config == bytes([0, 1, 2, 3, 0x44, 0x33, 0x22, 0x11, 8, 9, 10, 11])


@pytest.mark.parametrize("transport", EVERY)
def test_before_features_ok_only_a_legacy_driver_writes_the_configuration(transport):
    """3.1.1 step 4, and 3.1.2."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.transport.config_write(4, 1, 0xAA)
    assert (rig.device.config[4] == 0xAA) == rig.legacy


# -- news from outside, and from inside


def test_news_from_outside_waits_until_the_device_is_live():
    """`arrived` is how a packet that came in gets to the driver's buffers."""
    rig = Rig(Echo())
    rig.device.arrived(1)
    assert rig.device.calls == []
    rig.start(queues=2)
    rig.device.calls.clear()
    rig.device.arrived(1)
    assert rig.device.calls == [1]
    Echo().arrived(0)
    Echo().configure(b"")


def test_a_doorbell_while_a_queue_is_handled_waits_its_turn():
    rig = Rig(Echo())
    rig.start(queues=2)
    rig.device.calls.clear()
    depth, deepest = [0], [0]

    def ring_both():
        depth[0] += 1
        deepest[0] = max(deepest)
        assert depth[0] == 1
        rig.core.notify(1)
        rig.core.notify(0)
        depth[0] -= 1

    rig.device.interfere = ring_both
    assert say(rig, b"hello") == b"hello"
    assert rig.device.calls == [0, 1, 0]


def test_one_doorbell_sets_off_bounded_work():
    rig = Rig(Echo())
    rig.start(queues=2)
    rig.device.calls.clear()
    rig.device.handle = lambda index, queue: rig.device.calls.append(index) or rig.core.notify(0)
    rig.core.notify(0)
    assert len(rig.device.calls) == ROUNDS * 2


@pytest.mark.parametrize(
    "interfere",
    [
        lambda core: core.write_status(0),
        lambda core: core.disable(0),
        lambda core: core.reset_queue(0),
        lambda core: core.enable(1),
        lambda core: core.enable_legacy(1, 0x100, 4096),
        lambda core: core.enable_legacy(0, 0, 4096),
    ],
)
def test_while_a_queue_is_handled_nobody_pulls_it_away(interfere):
    rig = Rig(Echo())
    rig.trace.on = True
    rig.start()
    rig.device.interfere = lambda: interfere(rig.core)
    assert say(rig, b"hello") == b"hello"
    assert any("own DMA" in note for note in rig.notes("refused"))
    assert not rig.core.queues[1].ready
    assert rig.status == ALL_STEPS


def test_an_interrupt_handler_that_runs_at_once_may_reset_the_device():
    """The wire's sink is called in the middle of the doorbell, after the device is done."""
    rig = Rig(Echo())
    rig.start()
    rig.irq.sink = lambda level: level and rig.core.write_status(0)
    say(rig, b"hello")
    assert rig.status == 0
    assert rig.core.queues[0].queue.used == 0


# -- what cannot be built


def test_features_that_nothing_here_can_do_are_refused():
    with pytest.raises(ValueError, match=r"nothing here can do .*SR_IOV"):
        VirtioMmio(Echo(), GuestMemory(4096), IrqLine(), ring={Feature.SR_IOV})
    with pytest.raises(ValueError, match="NOTIF_CONFIG_DATA"):
        VirtioMmio(Echo(), GuestMemory(4096), IrqLine(), ring={Feature.NOTIF_CONFIG_DATA})
    ring = {Feature.NOTIF_CONFIG_DATA, Feature.ACCESS_PLATFORM}
    offered = VirtioPci(Echo(), ring=ring).core.offered
    assert offered == ring | {Feature.VERSION_1}


class Needy(Echo):
    requires: ClassVar = {5: frozenset({6})}


def test_a_feature_is_offered_only_with_what_it_requires():
    """2.2.2, and 2.2.1 for the driver."""
    with pytest.raises(ValueError, match="feature 5 needs"):
        Rig(Needy(features={5}))
    rig = Rig(Needy(features={5, 6}))
    rig.guest.begin()
    rig.transport.accept(frozenset({5, Feature.VERSION_1}))
    rig.transport.set_status(11)
    assert rig.transport.status() == 3


# -- notification data


@pytest.mark.parametrize(("transport", "layout"), MODERN_WORLDS)
@pytest.mark.parametrize("data", [True, False])
def test_a_doorbell_says_more_or_less_and_rings_the_same_queue(transport, layout, data):
    """2.9: with NOTIFICATION_DATA the index is a part of what is written."""
    rig = Rig(Echo(), transport)
    without = set() if data else {Feature.NOTIFICATION_DATA}
    rig.start(layout, without=without, queues=2)
    assert (Feature.NOTIFICATION_DATA in rig.core.features) == data
    for number in range(40):
        queue = rig.guest.queues[number % 2]
        assert say(rig, b"%d" % number, queue) == b"%d" % number


# -- a hostile guest

WORDS = st.one_of(
    st.integers(0, 16),
    st.sampled_from([0x40, 0x80, 0xFF, 0x8000, 0xFFFF, 0x1_0000, ROOM, ROOM >> 12, 0xFFFF_FFFF]),
    st.integers(0, 0xFFFF_FFFF),
)
CHAINS = SplitRings.placed(ROOM, 8)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 0x200), WORDS), max_size=20))
def test_rings_full_of_anything_never_raise(scribbles):
    """Whatever lies in the ring: the device serves it or is broken, and a reset mends it."""
    rig = Rig(Echo())
    rig.start(queues=2)
    for index, offset, word in scribbles:
        rig.ram.store(ROOM + (offset & ~3), 4, word)
        rig.core.notify(index)
        for setup in rig.core.queues:
            setup.queue._check()
    rig.start()
    assert say(rig, b"well again") == b"well again"
