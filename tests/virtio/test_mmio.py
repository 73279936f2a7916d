"""virtio-mmio, register by register: virtio 1.3 4.2.2 (version 2) and 4.2.4 (version 1)."""

import pytest

from tests.virtio.devices import Echo
from tests.virtio.rig import ALL_STEPS, DATA, MMIO, ROOM, Rig
from virtlab.bus import cycles
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import DESC, SplitRings, packer
from virtlab.virtio.mmio import VENDOR
from virtlab.virtio.mmio_registers import CONFIG, LegacyMmio, MmioRegisters, ModernMmio
from virtlab.virtio.negotiation import ANY_LAYOUT
from virtlab.virtio.transport import ROUNDS
from virtlab.wire import all_ones

BOTH = ["mmio", "mmio-legacy"]


def regs(rig):
    """Registers by name: `get("STATUS")`, `put("STATUS", 1)`."""
    kind = LegacyMmio if rig.legacy else ModernMmio

    def get(name):
        return rig.card.read(getattr(kind, name).offset, 4)

    def put(name, value):
        rig.card.write(getattr(kind, name).offset, 4, value)

    return get, put


def begun(transport, features=()):
    """A rig whose driver has negotiated; its registers."""
    rig = Rig(Echo(), transport)
    rig.guest.begin()
    rig.guest.negotiate(frozenset({Feature.VERSION_1, *features}))
    return rig, *regs(rig)


@pytest.mark.parametrize(("transport", "version"), [("mmio", 2), ("mmio-legacy", 1)])
def test_who_is_there(transport, version):
    get, _ = regs(Rig(Echo(), transport))
    assert get("MAGIC_VALUE").to_bytes(4, "little") == b"virt"
    assert get("VERSION") == version
    assert get("DEVICE_ID") == 1
    assert get("VENDOR_ID") == VENDOR


def test_features_come_32_at_a_time():
    rig = Rig(Echo(features={0, 5}), "mmio", ring={Feature.RING_EVENT_IDX, Feature.RING_RESET})
    get, put = regs(rig)
    found = []
    for select in (0, 1, 2, 0xFFFF_FFFF):
        put("DEVICE_FEATURES_SEL", select)
        found.append(get("DEVICE_FEATURES"))
    assert found == [1 << 29 | 1 << 5 | 1, 1 << 8 | 1, 0, 0]


def test_a_legacy_device_has_32_features_and_any_layout():
    """6.3: a transitional device must offer ANY_LAYOUT."""
    get, put = regs(Rig(Echo(features={0}), "mmio-legacy", ring={Feature.RING_PACKED}))
    assert get("DEVICE_FEATURES") == 1 << ANY_LAYOUT | 1
    put("DEVICE_FEATURES_SEL", 1)
    assert get("DEVICE_FEATURES") == 0


def test_accepted_features_past_the_last_are_lost():
    rig = Rig(Echo())
    _, put = regs(rig)
    for select, word in ((0, 3), (1, 1), (2, 0xFFFF), (0xFFFF_FFFF, 1)):
        put("DRIVER_FEATURES_SEL", select)
        put("DRIVER_FEATURES", word)
    assert rig.core.accepted == 1 << 32 | 3


@pytest.mark.parametrize("transport", BOTH)
def test_only_four_aligned_bytes_are_an_access_to_a_register(transport):
    """4.2.2.2: the driver must use 32-bit wide and aligned accesses."""
    rig = Rig(Echo(), transport)
    status = MmioRegisters.STATUS.offset
    for offset, size in ((status, 1), (status, 2), (status - 1, 4), (status - 2, 4), (status, 8)):
        rig.card.write(offset, size, 0x0101_0101)
        assert rig.core.status == 0
        assert rig.card.read(offset, size) == 0
    rig.card.write(status, 4, 1)
    assert rig.card.read(status, 4) == 1
    assert rig.card.read(0, 1) == 0


@pytest.mark.parametrize("transport", BOTH)
def test_what_cannot_be_read_reads_0_and_what_cannot_be_written_stays(transport):
    rig = Rig(Echo(), transport)
    get, put = regs(rig)
    kind = LegacyMmio if rig.legacy else ModernMmio
    read_only = [reg.name for reg in kind.registers if reg.access == "r"]
    before = [get(name) for name in read_only]
    for name in read_only:
        put(name, 0xFFFF_FFFF)
    assert [get(name) for name in read_only] == before
    for reg in kind.registers:
        if reg.access == "w" and reg.name != "QUEUE_NOTIFY":
            put(reg.name, 0x1234)
            assert get(reg.name) == 0
    holes = set(range(0, CONFIG, 4)) - {reg.offset for reg in kind.registers}
    for offset in holes:
        rig.card.write(offset, 4, 0xFFFF_FFFF)
        assert rig.card.read(offset, 4) == 0


def test_shared_memory_that_is_not_there_has_all_ones():
    """4.2.2: a region that does not exist has length -1."""
    get, put = regs(Rig(Echo()))
    put("SHM_SEL", 3)
    names = ("SHM_LEN_LOW", "SHM_LEN_HIGH", "SHM_BASE_LOW", "SHM_BASE_HIGH")
    assert {get(name) for name in names} == {0xFFFF_FFFF}


def test_a_queue_has_three_addresses_of_64_bits():
    rig, get, put = begun("mmio")
    put("QUEUE_SEL", 1)
    put("QUEUE_SIZE", 4)
    assert (get("QUEUE_SIZE_MAX"), rig.core.queues[1].size) == (16, 4)
    for number, part in enumerate(("DESC", "DRIVER", "DEVICE")):
        put(f"QUEUE_{part}_LOW", 0x1111_0000 + number)
        put(f"QUEUE_{part}_HIGH", 0x2222_0000 + number)
    setup = rig.core.queues[1]
    found = [setup.desc, setup.driver, setup.device]
    assert found == [0x2222_0000_1111_0000 + (number << 32 | number) for number in range(3)]
    assert rig.core.queues[0].desc == 0


def test_queue_ready_is_one_or_zero():
    rig, get, put = begun("mmio")
    rig.transport.set_queue(0, 8, tuple(at for at, _ in SplitRings.placed(ROOM, 8).parts))
    assert get("QUEUE_READY") == 1
    put("QUEUE_READY", 2)
    assert get("QUEUE_READY") == 1
    put("QUEUE_READY", 0)
    assert get("QUEUE_READY") == 0
    assert rig.device.queue_resets == [0]
    put("QUEUE_READY", 1)
    assert get("QUEUE_READY") == 1
    put("QUEUE_SEL", 7)
    assert get("QUEUE_READY") == 0
    put("QUEUE_READY", 1)
    put("QUEUE_READY", 0)
    assert rig.device.queue_resets == [0]


def test_a_queue_that_is_not_ready_is_not_looked_at():
    """4.2.2.1: the device must not access virtqueue contents when QueueReady is 0."""
    rig = Rig(Echo())
    rig.start()
    rig.transport.stop_queue(0)
    rig.device.calls.clear()
    rig.core.notify(0)
    assert rig.device.calls == []


def test_queue_reset_is_over_at_once():
    """4.2.2.1: 0 in QueueReset and in QueueReady when the reset has completed."""
    rig, get, put = begun("mmio", {Feature.RING_RESET})
    rig.transport.set_queue(0, 8, tuple(at for at, _ in SplitRings.placed(ROOM, 8).parts))
    put("QUEUE_RESET", 0)
    assert get("QUEUE_READY") == 1
    put("QUEUE_RESET", 1)
    assert (get("QUEUE_RESET"), get("QUEUE_READY")) == (0, 0)
    put("QUEUE_SEL", 9)
    put("QUEUE_RESET", 1)
    assert rig.device.queue_resets == [0]


@pytest.mark.parametrize("transport", BOTH)
def test_the_interrupt_is_acknowledged_bit_by_bit(transport):
    """4.2.2.1: each event is shown until the driver acknowledges it."""
    rig = Rig(Echo(), transport)
    rig.start()
    get, put = regs(rig)
    rig.guest.queues[0].add_buf([(ROOM + 0x8000, 1)], [], "it")
    rig.guest.queues[0].kick()
    rig.device.configure(bytes(12))
    assert get("INTERRUPT_STATUS") == 3
    put("INTERRUPT_ACK", 0xFFFF_FFFE)
    assert get("INTERRUPT_STATUS") == 1
    assert rig.irq.level
    put("INTERRUPT_ACK", 1)
    assert get("INTERRUPT_STATUS") == 0
    assert not rig.irq.level


@pytest.mark.parametrize("transport", BOTH)
def test_a_reset_clears_interrupts_selectors_and_queues(transport):
    rig = Rig(Echo(), transport)
    rig.start()
    get, put = regs(rig)
    rig.device.configure(bytes(12))
    put("QUEUE_SEL", 1)
    put("STATUS", 0)
    assert (get("STATUS"), get("INTERRUPT_STATUS"), rig.irq.level) == (0, 0, False)
    assert get("QUEUE_SIZE_MAX") == 8
    assert get("DEVICE_ID") == 1


@pytest.mark.parametrize("data", [True, False])
def test_the_doorbell_is_an_index_or_with_notification_data_a_part_of_it(data):
    """4.2.2, 2.9: the upper half says how far the driver is, or belongs to the index."""
    rig = Rig(Echo())
    rig.start(without=set() if data else {Feature.NOTIFICATION_DATA})
    rig.device.calls.clear()
    _, put = regs(rig)
    put("QUEUE_NOTIFY", 0x0003_0000)
    assert rig.device.calls == ([0] if data else [])


# -- version 1


def test_a_legacy_queue_is_one_page_number():
    """4.2.4, 2.7.2: table, available ring, and the used ring at QueueAlign."""
    rig, get, put = begun("mmio-legacy")
    put("GUEST_PAGE_SIZE", 1024)
    put("QUEUE_SIZE", 4)
    put("QUEUE_ALIGN", 256)
    put("QUEUE_PFN", 0x400)
    setup = rig.core.queues[0]
    assert setup.queue.rings == SplitRings(4, 0x100000, 0x100040, 0x100100)
    assert get("QUEUE_PFN") == 0x400
    put("QUEUE_PFN", 0)
    assert get("QUEUE_PFN") == 0
    assert not setup.ready


@pytest.mark.parametrize(
    ("page", "align", "says"),
    [
        (0, 4096, "a page of 0 bytes"),
        (4095, 4096, "a page of 4095 bytes"),
        (4096, 0, "a queue align of 0 bytes"),
        (4096, 24, "a queue align of 24 bytes"),
        (4096, 2, "the used ring is at 0x10002a"),
    ],
)
def test_a_page_or_alignment_that_is_none_breaks_the_device(page, align, says):
    """Two entries and three words end at 0x2a: an alignment of 2 is not enough (2.7.1)."""
    rig, get, put = begun("mmio-legacy")
    rig.trace.on = True
    put("GUEST_PAGE_SIZE", page)
    put("QUEUE_ALIGN", align)
    put("QUEUE_SIZE", 2)
    put("QUEUE_PFN", 0x100)
    assert rig.broken
    assert get("QUEUE_PFN") == 0
    assert says in rig.notes("guest error")[0]


def test_the_last_page_numbers_are_addresses_too():
    """A page number of 32 bits and a page of 2**31 bytes: still below the last address."""
    rig, _, put = begun("mmio-legacy")
    put("GUEST_PAGE_SIZE", 1 << 31)
    put("QUEUE_PFN", 0xFFFF_FFFF)
    assert not rig.broken
    rig.core.notify(0)
    assert rig.broken


@pytest.mark.parametrize("transport", BOTH)
def test_a_legacy_status_has_no_features_ok(transport):
    rig = Rig(Echo(), transport)
    get, put = regs(rig)
    put("STATUS", 3)
    put("STATUS", 11)
    assert get("STATUS") == 3


# -- a device whose DMA reaches its own registers


class Everywhere:
    """A `Dma` for which registers are memory too, as for a peer on a PCI bus."""

    def __init__(self, ram, card):
        self.ram, self.card = ram, card

    def view(self, iova, length, write=False):
        return self.ram.view(iova, length, write)

    def read(self, iova, length):
        return bytes(length) if iova >= MMIO else self.ram.read(iova, length)

    def write(self, iova, data):
        if iova < MMIO:
            self.ram.write(iova, data)
            return
        for at, size, shift in cycles(iova - MMIO, len(data), 4):
            self.card.write(at, size, int.from_bytes(data, "little") >> shift & all_ones(size))


def at_home(reg, chains=4):
    """A split queue with `chains` waiting, whose first used element lies over register `reg`."""
    rig = Rig(Echo())
    rig.trace.on = True
    rig.guest.begin()
    rig.guest.negotiate(frozenset({Feature.VERSION_1}))
    setup = rig.core.queues[0]
    setup.dma = Everywhere(rig.ram, rig.card)
    rings = SplitRings.placed(ROOM, 8)
    rig.transport.set_queue(0, 8, (rings.desc, rings.avail, MMIO + reg.offset - 4))
    for entry in range(chains):
        rig.ram.write(rings.desc_at(entry), packer(DESC).pack(DATA, 1, 0, 0))
        rig.ram.store(rings.avail_at(entry), 2, entry)
    rig.ram.store(rings.avail_field("idx"), 2, chains)
    rig.guest.ready()
    rig.core.queues[0].queue._check()
    return rig


def test_a_used_ring_over_the_status_does_not_reset_the_device_that_writes_it():
    """The id of the first element is 0: written to STATUS it would reset the device."""
    rig = at_home(MmioRegisters.STATUS)
    assert rig.status == ALL_STEPS
    assert rig.device.served == 4
    assert any("own DMA" in note for note in rig.notes("refused"))


def test_a_used_ring_over_the_doorbell_rings_a_bounded_number_of_times():
    rig = at_home(MmioRegisters.QUEUE_NOTIFY)
    assert rig.device.served == 4
    assert len(rig.device.calls) <= ROUNDS * len(rig.core.queues)


def test_a_used_ring_over_queue_ready_does_not_take_the_queue_away():
    rig = at_home(ModernMmio.QUEUE_READY)
    assert rig.core.queues[0].ready
    assert rig.device.served == 4
