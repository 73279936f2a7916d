"""A hostile guest with virtual functions: nothing raises, and the books are right after each step.

What a guest can write is every byte of configuration space, of every function, at any time: VF
Enable in the middle of a transfer, NumVFs, page sizes, BARs over each other, bus numbers, resets.
"""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.pci.sriov_rig import MSIX_AT, POWER_AT, SriovRig
from virtlab.errors import DmaFault
from virtlab.guest.pci import Place
from virtlab.pci.bridge import Bridge
from virtlab.pci.capabilities import Express
from virtlab.pci.express import ACS_AT, ENDPOINT_AT, EXPRESS_AT
from virtlab.pci.extended import Acs, SrIov
from virtlab.pci.routing_ids import distance
from virtlab.pci.sriov_functions import SRIOV_AT
from virtlab.wire import all_ones

TOTAL, PHYSICAL = 6, 2
ECAM = 0xB000_0000

IOVAS, LENGTHS = np.array([0, 0xC000_0000]), np.array([4, 8])

PORT_PLACES = [0x04, 0x18, 0x19, 0x1A, 0x20, 0x24, 0x3E, EXPRESS_AT + 0x28, ACS_AT + 6, 0x84]
PF_PLACES = [
    0x04,
    0x10,
    0x14,
    ENDPOINT_AT + Express.DEVICE_CONTROL.offset,
    POWER_AT + 4,
    *(SRIOV_AT + at for at in (8, 8, 8, 0x10, 0x10, 0x12, 0x20, 0x24, 0x28, 0x2C, 0x30)),
]
VF_PLACES = [0x04, 0x10, MSIX_AT + 2, POWER_AT + 4, ENDPOINT_AT + Express.DEVICE_CONTROL.offset]

values = st.sampled_from([0, 1, 2, 4, 6, 7, 9, 0x10, 0x19, 0x8000, 0xC000_0000, all_ones(4)])
steps = st.tuples(
    st.sampled_from(["port", "pf", "pf", "pf", "vf", "any", "memory", "dma"]),
    st.integers(0, 15),
    st.integers(0, 15),
    st.sampled_from([1, 2, 4]),
    values | st.integers(0, all_ones(4)),
)


def act(rig, verb, pick, at, size, value):
    """One thing that a guest does, or that it lets a device do."""
    vfs = [vf for each in rig.vfs for vf in each]
    vf = vfs[pick % len(vfs)]
    if verb == "port":
        write(rig, Place(0, 3 + pick % 2, 0), PORT_PLACES[at % len(PORT_PLACES)], size, value)
    elif verb == "pf":
        pf = rig.pfs[pick % PHYSICAL]
        bus, device, number = rig.port.secondary, pf.device, pf.number
        write(rig, Place(bus, device, number), PF_PLACES[at % len(PF_PLACES)], size, value)
    elif verb == "vf":
        source = vf.source_id
        place = Place(source >> 8, source >> 3 & 31, source & 7)
        write(rig, place, VF_PLACES[at % len(VF_PLACES)], size, value)
    elif verb == "any":
        place = Place(rig.port.secondary + pick % 3, at % 2, pick % 8)
        write(rig, place, value & 0xFFC, size, value)
    elif verb == "memory":
        for bar in vf.bars:
            gpa = vf.address(bar) + 4 * at
            rig.cpu.store(gpa, value, 4)
            assert 0 <= rig.cpu.load(gpa, 4) <= all_ones(4)
    else:
        vf.irq.set(not vf.irq.level)
        vf.notify(pick)
        try:
            vf.dma.write(value & 0xFFFFF, b"hostile")
            assert vf.bus is not None
        except DmaFault:
            pass
        if vf.dma.one_array:
            assert (vf.dma.offset_many(IOVAS, LENGTHS) >= -1).all()


def write(rig, place, offset, size, value):
    rig.access.write(place, offset & ~(size - 1), size, value & all_ones(size))
    assert 0 <= rig.access.read(place, offset & ~3, 4) <= all_ones(4)


def check(rig):
    """The books: who is there, where, and that nobody else is."""
    bus = rig.port.below
    expected = {}
    for pf, vfs in zip(rig.pfs, rig.vfs, strict=True):
        sharing = pf.config.parts[SRIOV_AT]
        assert sharing.TOTAL_VFS == sharing.INITIAL_VFS == TOTAL
        assert sharing.count <= TOTAL
        assert sharing.SYSTEM_PAGE_SIZE.bit_count() == 1
        assert sharing.STATUS == sharing.MIGRATION_STATE == 0
        for index, vf in enumerate(vfs):
            there = index < sharing.count
            assert (vf.bus is bus) == there
            if there:
                assert vf.awake <= pf.awake
                expected[distance(bus.number, vf.source_id)] = vf
            else:
                assert vf.header.COMMAND == 0
                assert vf.memory_spans() == []
            for bar in vf.bars:
                assert vf.address(bar) % sharing.aperture(bar) == 0
                assert vf.header.values[bar.register] == 0
            if not sharing.decodes or not vf.awake:
                assert vf.memory_spans() == []
    assert bus.virtual == expected
    ids = [each.source_id for each in bus.everyone()]
    assert len(set(ids)) == len(ids)
    for vf in expected.values():
        place = vf.source_id
        found = bus.find(place >> 8, place >> 3 & 31, place & 7)
        own = place >> 8 == bus.number and place >> 3 & 31
        assert found is (None if own and not rig.port.forwards_ari else vf)


def board():
    return SriovRig(total=TOTAL, physical=PHYSICAL).start()


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=40))
@example([("pf", 0, 8, 2, 6), ("pf", 0, 5, 2, 9), ("vf", 3, 0, 2, 4), ("dma", 3, 0, 4, 64)])
@example([("pf", 0, 8, 2, 6), ("pf", 0, 5, 2, 9), ("pf", 0, 4, 4, 3), ("port", 0, 6, 2, 0x40)])
@example([("pf", 1, 8, 2, 6), ("pf", 1, 5, 2, 9), ("port", 0, 2, 1, 255), ("pf", 1, 3, 2, 0x8000)])
def test_nothing_raises_and_the_books_are_right(sequence):
    rig = board()
    for step in sequence:
        act(rig, *step)
        check(rig)


def test_every_byte_of_every_function_with_vfs_on():
    """All ones, then all zeros, into each dword of the PFs, of all VFs and of the port."""
    for value in (all_ones(4), 0):
        for target in range(1 + PHYSICAL + TOTAL):
            rig = board()
            rig.drivers[0].enable(TOTAL)
            places = [Place(0, 3, 0), Place(1, 0, 0), Place(1, 0, 1)]
            places += [Place(1, (2 + 2 * n) // 8, (2 + 2 * n) % 8) for n in range(TOTAL)]
            for offset in range(0, 0x200, 4):
                rig.access.write(places[target], offset, 4, value)
                rig.access.read(places[target], offset, 4)
            check(rig)
            assert isinstance(rig.port, Bridge)


def test_enable_and_disable_many_times_leaves_nothing_behind():
    rig = board()
    for round_ in range(50):
        count = 1 + round_ % TOTAL
        rig.drivers[round_ % 2].enable(count)
        check(rig)
        rig.drivers[round_ % 2].disable()
        check(rig)
    assert rig.port.below.virtual == {}
    assert SrIov.CONTROL.VF_ENABLE.get(rig.pf.config.parts[SRIOV_AT].CONTROL) == 0
    assert Acs.id == 0x0D
