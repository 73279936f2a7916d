"""What a driver must and must not do, rule by rule, over whole lives of our four drivers.

A rule over every register access is proved here, for all drivers on all transports at once. Rules
of queues and interrupts, of PCI and of the rings are in the files beside this one.
`docs/conformance.md` says which rule has which test.
"""

from itertools import pairwise

import pytest

from tests.guest.paper_virtio import PaperTransport, RamCpu
from tests.guest.virtio_watch import (
    DRIVERS,
    IDS,
    LAYOUTS,
    STATUS,
    driver_of,
    eras,
    every,
    is_status,
    life,
)
from tests.virtio.devices import Echo
from tests.virtio.rig import LEGACY, MMIO, MODERN, Rig
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import RING_FEATURES, VirtioDriver
from virtlab.guest.virtio_mmio import probe
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.memory import GuestMemory
from virtlab.virtio.features import BITS, Feature
from virtlab.virtio.mmio_registers import ModernMmio
from virtlab.virtio.status import Status

# -- the way to DRIVER_OK (2.1.1, 3.1.1)


@every
def test_the_status_says_each_step_and_no_bit_goes_away(name, transport, layout, least):
    """2.1.1, 3.1.1, 3.1.2: in this order; only a reset clears bits. Twice, in a life."""
    found = life(name, transport, layout, least)
    steps = [0, 1, 3, 7] if transport in LEGACY else [0, 1, 3, 11, 15]
    assert found.writes(*STATUS) == steps * 2


@pytest.mark.parametrize("transport", [*MODERN, *LEGACY])
def test_after_failed_a_driver_resets_first(transport):
    """2.1.1: having given up, it begins with a reset, and then all is well again."""
    rig = Rig(Echo(), transport)
    rig.start()
    with pytest.raises(VirtioFailed, match="enough"):
        rig.guest.fail("enough")
    told, set_status = [], rig.transport.set_status
    rig.transport.set_status = lambda status: told.append(status) or set_status(status)
    rig.guest.begin()
    assert told == [0, 1, 3]
    assert rig.status == 3


@pytest.mark.parametrize("transport", [*MODERN, *LEGACY])
def test_a_reset_is_awaited(transport):
    """4.1.4.3.2, 2.4: after the 0 nothing is written, until the status reads 0."""
    rig = Rig(Echo(), transport)
    rig.start()
    told, set_status, late = [], rig.transport.set_status, [15, 15, 15, 0]
    rig.transport.set_status = lambda status: told.append((status, len(late))) or set_status(status)
    status = rig.transport.status
    rig.transport.status = lambda: late.pop(0) if late else status()
    rig.guest.begin()
    assert told == [(0, 4), (1, 0), (3, 0)]


@every
def test_no_doorbell_before_driver_ok(name, transport, layout, least):
    """3.1.1: no available buffer notification before DRIVER_OK is set."""
    rang = 0
    for era in eras(life(name, transport, layout, least).seen):
        live = False
        for one in era:
            live |= is_status(one) and one.write and bool(one.value & Status.DRIVER_OK)
            if one.write and (one.part == "bell" or one.name == "QUEUE_NOTIFY"):
                rang += 1
                assert live
    assert rang


@every
def test_features_are_accepted_before_features_ok_and_never_after(name, transport, layout, least):
    """3.1.1 steps 4 and 5."""
    last = Status.DRIVER_OK if transport in LEGACY else Status.FEATURES_OK
    for era in eras(life(name, transport, layout, least).seen):
        settled = next(
            at for at, one in enumerate(era) if one.write and is_status(one) and one.value & last
        )
        told = [
            at for at, one in enumerate(era) if one.write and one.name.startswith("DRIVER_FEATURE")
        ]
        assert told
        assert max(told) < settled


@every
def test_the_configuration_is_not_written_before_features_ok(name, transport, layout, least):
    """3.1.1 step 4: the driver may read it."""
    for era in eras(life(name, transport, layout, least).seen):
        for one in era:
            if one.write and is_status(one) and one.value & Status.FEATURES_OK:
                break
            assert not (one.part == "config" and one.write)


# -- features (2.2.1, 6.1)


@pytest.mark.parametrize("legacy", [False, True])
def test_of_features_that_may_not_be_accepted_none_is(legacy):
    """2.2.1: what is unknown, reserved, or of another device type is ignored. It is no failure."""
    paper = PaperTransport(frozenset(range(32 if legacy else BITS)), legacy)
    driver = VirtioDriver(RamCpu(GuestMemory(4096)), paper, Room(0, 4096))
    driver.begin()
    driver.negotiate(RING_FEATURES | {5})
    known = {5, 27, 28, 29} if legacy else {5, 28, 29, 32, 34, 35, 38, 39, 40}
    assert driver.features == known
    driver.ready()
    assert not paper.now & Status.FAILED


def test_what_only_pci_has_is_ignored_over_mmio():
    """2.2.1, 6.1: SR_IOV and NOTIF_CONFIG_DATA need registers that a window does not have."""
    rig = Rig(Echo(), "mmio")
    rig.core.offered |= {Feature.NOTIF_CONFIG_DATA, Feature.SR_IOV}
    rig.guest.begin()
    chosen = rig.guest.negotiate(RING_FEATURES | {Feature.SR_IOV})
    assert not chosen & {Feature.NOTIF_CONFIG_DATA, Feature.SR_IOV}
    assert Feature.NOTIF_CONFIG_DATA in Rig(Echo(), "pci").core.offered


OWN = {
    "blk": {1, 2, 4, 5, 6, 9, 10, 11, 12, 13, 14},
    "net": {0, 3, 5, 15, 16, 17, 18, 19, 20, 21, 22, 23},
    "console": {0, 1, 2},
    "rng": set(),
}
"""The bits of its own that each driver may accept: nothing of zones, hashes, offloads, SCSI."""


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("legacy", [False, True])
def test_drivers_never_accept_what_this_course_leaves_out(name, legacy):
    """Whatever is offered: no SR_IOV, ADMIN_VQ, ACCESS_ or ORDER_PLATFORM; no bit 24 or 30."""
    ring = {27, 28, 29} if legacy else {28, 29, 32, 34, 35, 38, 39, 40}
    paper = PaperTransport(frozenset(range(32 if legacy else BITS)), legacy, IDS[name])
    paper.sizes = {}
    with pytest.raises(VirtioFailed, match="no free queue 0"):
        driver_of(name, RamCpu(GuestMemory(4096)), paper).start()
    assert paper.accepted == ring | OWN[name]


# -- registers and their widths (4.1.3.1, 4.1.4.3.2, 4.2.2.2)


@every
def test_a_register_is_accessed_as_it_was_declared(name, transport, layout, least):
    """4.1.3.1, 4.2.2.2: in its width, aligned, 64 bits as two halves; in its direction."""
    for one in life(name, transport, layout, least).common():
        assert one.reg is not None, "nothing is declared there"
        assert one.size == min(one.reg.width, 4)
        assert one.at % one.size == 0
        assert one.reg.access != ("r" if one.write else "w"), one.name


def fields(name):
    """Offset and size of all that may be accessed at once in the configuration."""
    if name not in LAYOUTS:
        return {}
    config, places = LAYOUTS[name].CONFIG, {}
    for field in config.names:
        kind, at = config.fields[field][:2]
        width = min(kind.base.itemsize, 4)
        places |= {(at + inner, width): field for inner in range(0, kind.itemsize, width)}
    return places


@every
def test_a_field_of_the_configuration_is_accessed_in_its_width(name, transport, layout, least):
    """4.1.3.1, 4.2.2.2: and no byte that the device type does not have."""
    known = fields(name)
    for one in life(name, transport, layout, least).seen:
        if one.part == "config":
            assert (one.at, one.size) in known


@every
def test_a_field_is_read_only_if_its_feature_is_there(name, transport, layout, least):
    """2.5.1: what is optional is not touched unless its feature was offered, and accepted."""
    found, known = life(name, transport, layout, least), fields(name)
    guards = LAYOUTS[name].GUARD if name in LAYOUTS else {}
    for one in found.seen:
        if one.part == "config":
            field = known[one.at, one.size]
            assert field not in guards or guards[field] in found.features


@every
def test_selectors_come_first(name, transport, layout, least):
    """4.2.2.2: DeviceFeaturesSel before DeviceFeatures, DriverFeaturesSel before DriverFeatures."""
    pairs = {
        "DEVICE_FEATURES": "DEVICE_FEATURES_SEL",
        "DRIVER_FEATURES": "DRIVER_FEATURES_SEL",
        "DEVICE_FEATURE": "DEVICE_FEATURE_SELECT",
        "DRIVER_FEATURE": "DRIVER_FEATURE_SELECT",
    }
    if transport.startswith("pci") and transport in LEGACY:
        return  # the legacy header has 32 features, and no selector
    common = life(name, transport, layout, least).common()
    found = [(one.name, before) for before, one in pairwise(common) if one.name in pairs]
    assert found
    for register, before in found:
        assert (before.name, before.write) == (pairs[register], True)


@every
def test_what_is_about_shared_memory_is_left_alone(name, transport, layout, least):
    """4.2.3.1.1: a driver that expects none must not use its registers."""
    assert not any(
        one.name.startswith("SHM") for one in life(name, transport, layout, least).common()
    )


# -- who is there (4.2.3.1.1)


def test_what_is_no_device_is_passed_over_without_a_word():
    """4.2.2.2, 4.2.3.1.1: an id of 0 is no error, and no other register is touched."""
    rig = Rig(Echo(), "mmio")
    rig.card.preset(DEVICE_ID=0)
    touched = []
    load = rig.cpu.load
    rig.cpu.load = lambda gpa, size=4: touched.append(gpa - MMIO) or load(gpa, size)
    assert probe(rig.cpu, MMIO) is None
    registers = ModernMmio.MAGIC_VALUE, ModernMmio.VERSION, ModernMmio.DEVICE_ID
    assert touched == [reg.offset for reg in registers]
