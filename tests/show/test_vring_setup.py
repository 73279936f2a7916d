"""Handing a queue over: the driver's own accesses, and the device's own answers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtio.rig import Rig
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.memory import PAGE
from virtlab.show.vring_setup import HandedOver, hand_over, steps
from virtlab.show.vring_state import (
    BUSES,
    LARGEST,
    LAYOUTS,
    LEGACY_ALIGNS,
    POWERS,
    RAM,
    SIZES,
    SPLIT_ALIGNS,
    START,
    Vring,
    aligns,
    chosen,
    mistakes,
    most,
    moved,
    sizes,
)
from virtlab.show.vring_table import STEPS, Access, accesses, setup_table
from virtlab.trace import Event
from virtlab.virtio.features import Feature
from virtlab.virtio.layouts import SplitRings
from virtlab.virtio.mmio_registers import LegacyMmio, ModernMmio
from virtlab.virtio.packed_layouts import PackedRings
from virtlab.virtio.pci_layouts import CommonConfig, LegacyHeader
from virtlab.virtio.rng import VirtioRng, seeded

WORLDS = [(bus, layout) for bus in BUSES for layout in LAYOUTS]
KINDS = {
    ("PCI", "legacy"): ("pci-legacy", LegacyHeader),
    ("PCI", "split"): ("pci", CommonConfig),
    ("PCI", "packed"): ("pci", CommonConfig),
    ("MMIO", "legacy"): ("mmio-legacy", LegacyMmio),
    ("MMIO", "split"): ("mmio", ModernMmio),
    ("MMIO", "packed"): ("mmio", ModernMmio),
}


def run(bus, layout, size=8):
    """What the guest's driver does to set queue 0 up, and where the queue lies then."""
    kind, registers = KINDS[bus, layout]
    rig = Rig(VirtioRng(seeded(1), size), kind)
    rig.guest.begin()
    rig.guest.negotiate(RING_FEATURES - ({Feature.RING_PACKED} if layout != "packed" else set()))
    with rig.trace.recording() as events:
        queue = rig.guest.add_queue(0)
    transport = rig.transport
    if bus == "MMIO":
        base = transport.base
    else:
        base = transport.port if layout == "legacy" else transport.common.base
    return accesses(events, base, registers.registers), queue.rings


# -- the steps


@pytest.mark.parametrize(("bus", "layout"), WORLDS)
def test_the_steps_are_those_of_the_guests_driver(bus, layout):
    """What a widget says that the driver writes is what it writes, in that order."""
    made, rings = run(bus, layout)
    writes = [(access.name, access.value) for access in made if access.write]
    place = rings.desc // PAGE if layout == "legacy" else rings.desc
    vring = Vring(bus, layout, 8, place, PAGE if layout == "legacy" else 16)
    assert vring.rings == rings
    assert writes[1:] == [(step.name, step.value) for step in steps(vring)]


def test_an_address_of_more_than_32_bits_has_a_high_half():
    vring = Vring("PCI", "split", 8, 0x12_3456_7000, 16)
    written = {step.name: step.value for step in steps(vring)}
    assert (written["QUEUE_DESC"], written["QUEUE_DESC+4"]) == (0x3456_7000, 0x12)
    written = {step.name: step.value for step in steps(replace(vring, bus="MMIO"))}
    assert (written["QUEUE_DEVICE_LOW"], written["QUEUE_DEVICE_HIGH"]) == (0x3456_70A0, 0x12)


# -- the answers


@pytest.mark.parametrize(("bus", "layout"), WORLDS)
def test_a_right_choice_is_accepted_and_a_wrong_one_is_noticed(bus, layout):
    vring = chosen(START, bus, layout)
    assert hand_over(vring) == HandedOver(True)
    for name, wrong in mistakes(vring).items():
        came = hand_over(wrong)
        if name == "page number 0":
            assert came == HandedOver(False)
        else:
            assert came.needs_reset, name
            assert "virtio 1.3" in came.why


@pytest.mark.parametrize(
    ("bus", "layout", "name", "register", "clause"),
    [
        ("PCI", "split", "the table 8 bytes off", "QUEUE_ENABLE", "2.7.1"),
        ("PCI", "split", "the used ring 2 bytes off", "QUEUE_ENABLE", "2.7.1"),
        ("PCI", "split", "no power of two", "QUEUE_SIZE", "4.1.4.3.2"),
        ("PCI", "packed", "the table 8 bytes off", "QUEUE_ENABLE", "2.8.11"),
        ("MMIO", "split", "the table 8 bytes off", "QUEUE_READY", "2.7.1"),
        ("MMIO", "packed", "larger than the device allows", "QUEUE_SIZE", "4.2.2.2"),
        ("MMIO", "legacy", "an alignment of 3", "QUEUE_PFN", "4.2.4"),
    ],
)
def test_who_notices_and_by_which_clause(bus, layout, name, register, clause):
    wrong = mistakes(chosen(START, bus, layout))[name]
    came = hand_over(wrong)
    assert steps(wrong)[came.noticed].name == register
    assert clause in came.why


@pytest.mark.parametrize(("bus", "layout"), WORLDS)
def test_missing_memory_is_noticed_at_the_first_doorbell(bus, layout):
    """No register reads memory: the queue is in use, and the device finds out when it looks."""
    wrong = mistakes(chosen(START, bus, layout))["where no memory is"]
    came = hand_over(wrong)
    assert came.ready
    assert came.noticed == len(steps(wrong))
    assert "no memory there" in came.why


def test_a_packed_queue_need_not_be_a_power_of_two():
    """2.8.10.1."""
    assert hand_over(Vring("PCI", "packed", 100, 0x21000, 16)).ready


@given(st.sampled_from(WORLDS), st.sampled_from(POWERS[:9]), st.integers(1, RAM // PAGE - 4))
def test_every_queue_on_a_page_border_inside_memory_is_accepted(world, size, page):
    vring = replace(chosen(START, *world), size=size)
    vring = replace(vring, place=page if vring.legacy else page * PAGE)
    assert hand_over(vring) == HandedOver(True)


# -- choices


def test_the_size_is_the_devices_on_legacy_pci_alone():
    """4.1.5.1.3.1: there is no way to choose a size; the alignment is 4096."""
    assert START.fixed
    assert (sizes(START), aligns(START)) == (POWERS, ())
    other = chosen(START, "MMIO", "legacy")
    assert not other.fixed
    assert (sizes(other), aligns(other)) == (SIZES, LEGACY_ALIGNS)
    split, packed = chosen(START, "PCI", "split"), chosen(START, "PCI", "packed")
    assert (aligns(split), aligns(packed)) == (SPLIT_ALIGNS, ())
    assert LARGEST in SIZES


def test_another_interface_keeps_the_place():
    split = chosen(Vring(place=0x33), "MMIO", "split")
    assert (split.base, split.align) == (0x33000, 16)
    assert chosen(replace(split, place=0x33010), "PCI", "legacy").place == 0x33
    far = replace(split, place=1 << 60)
    assert chosen(far, "PCI", "legacy").place == 0xFFFF_FFFF


def test_another_interface_has_the_nearest_size_and_a_usual_alignment():
    packed = Vring("MMIO", "packed", 300, 0x21000, 16)
    legacy = chosen(packed, "PCI", "legacy")
    assert (legacy.size, legacy.align) == (256, PAGE)
    kept = chosen(Vring("MMIO", "split", 8, 0x21000, 64), "PCI", "split")
    assert kept.align == 64
    assert chosen(Vring("MMIO", "legacy", 8, 0x21, 64), "PCI", "legacy").align == PAGE


@given(st.sampled_from(WORLDS), st.sampled_from(WORLDS), st.sampled_from(POWERS))
def test_every_choice_is_one_that_the_controls_have(before, after, size):
    vring = chosen(replace(chosen(START, *before), size=size), *after)
    for each in (vring, *mistakes(vring).values()):
        assert each.size in sizes(each)
        assert not aligns(each) or each.align in aligns(each)
        assert 0 <= each.place <= most(each)


def test_a_place_is_what_the_registers_hold():
    assert moved(START, 0xFFFF_FFFF).base == (1 << 44) - PAGE
    with pytest.raises(ValueError, match="a page number has 32 bits"):
        moved(START, 1 << 32)
    split = chosen(START, "PCI", "split")
    assert moved(split, 1 << 63).base == 1 << 63
    for place in (-1, 1 << 64):
        with pytest.raises(ValueError, match="an address has 64 bits"):
            moved(split, place)


def test_where_the_parts_lie():
    assert START.rings == SplitRings.legacy(0x21, 8)
    assert chosen(START, "PCI", "packed").rings == PackedRings.placed(0x21000, 8)


# -- the table


def test_three_interfaces_beside_each_other():
    names = {"legacy PCI": ("PCI", "legacy"), "PCI": ("PCI", "split"), "MMIO": ("MMIO", "split")}
    table = setup_table({name: run(*world)[0] for name, world in names.items()}, "all three")
    rows = {row[0]: row[1:] for row in table.rows}
    assert [row[0] for row in table.rows] == [*STEPS, "accesses"]
    assert rows["use it"] == ("QUEUE_ADDRESS = 0x100", "QUEUE_ENABLE = 0x1", "QUEUE_READY = 0x1")
    assert rows["its size"] == ("QUEUE_SIZE: 0x8", "QUEUE_SIZE = 0x8", "QUEUE_SIZE = 0x8")
    assert rows["used ring, high half"] == ("", "QUEUE_DEVICE+4 = 0x0", "QUEUE_DEVICE_HIGH = 0x0")
    # The card asks where the doorbell is, and by which name (NOTIF_CONFIG_DATA was negotiated).
    assert rows["where is its doorbell?"][1].split("; ") == [
        "QUEUE_NOTIFY_OFF: 0x0",
        "QUEUE_NOTIF_CONFIG_DATA: 0x0",
    ]
    assert rows["accesses"] == ("6", "14", "12")
    assert table.caption == "all three"


def test_legacy_mmio_says_two_things_of_the_size():
    table = setup_table({"MMIO": run("MMIO", "legacy")[0]})
    rows = dict(table.rows)
    assert rows["its size"] == "QUEUE_SIZE = 0x8; QUEUE_ALIGN = 0x1000"
    assert "used ring, low half" not in rows


def test_an_access_that_is_no_step_is_an_error():
    with pytest.raises(ValueError, match="odd: STATUS = 0x4 is no step"):
        setup_table({"odd": [Access(True, "STATUS", 4)]})
    with pytest.raises(ValueError, match="QUEUE_SEL = 0x0 is no step"):
        setup_table({"late": [Access(True, "QUEUE_READY", 1), Access(True, "QUEUE_SEL", 0)]})


def test_only_accesses_to_these_registers_are_taken():
    events = [
        Event(0, 0, "exit", "vm", "memory", 0x1030, 4, 0),
        Event(1, 0, "store", "dev", "memory", 0x1030, 4, 0),
        Event(2, 0, "load", "dev", "memory", 0x1030, 4, 0),
        Event(3, 0, "store", "dev", "memory", 0x2030, 4, 0),
        Event(4, 0, "load", "dev", "memory", 0x1034, 4, 64),
    ]
    found = accesses(events, 0x1000, ModernMmio.registers)
    assert found == [Access(True, "QUEUE_SEL", 0), Access(False, "QUEUE_SIZE_MAX", 64)]
