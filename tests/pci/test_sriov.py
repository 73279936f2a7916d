"""The SR-IOV capability, and virtual functions in configuration space."""

import pytest

from tests.pci.rig import Card, Rig
from tests.pci.sriov_rig import ECAM, MSIX_AT, PF_DEVICE, POWER_AT, VF_DEVICE, SriovRig, card
from virtlab.guest.pci import Place, capability_list, open_ecam
from virtlab.guest.pci_express import extended_list, reset_function
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pci_sriov import SriovScan, exists, let_master, place_of
from virtlab.pci.bridge import PciBridge
from virtlab.pci.capabilities import Express
from virtlab.pci.config import Header, Type0
from virtlab.pci.dump import dumped
from virtlab.pci.express import ENDPOINT_AT, RootPort, Switch
from virtlab.pci.extended import Ari, SrIov
from virtlab.pci.pcie import LARGEST_PAYLOAD
from virtlab.pci.sriov import REQUIRED_PAGES, Sharing
from virtlab.pci.sriov_functions import SRIOV_AT, make_physical
from virtlab.wire import all_ones

FIELDS = SrIov.CONTROL


@pytest.fixture
def rig():
    return SriovRig(total=4).start()


def read(rig, reg):
    return rig.sriov.get(reg)


def write(rig, reg, value):
    rig.sriov.put(reg, value)
    return rig.sriov.get(reg)


# -- 3.3: what the capability says


def test_it_says_how_many_and_of_which_kind(rig):
    """3.3.5, 3.3.6, 3.3.11, 3.3.12: InitialVFs is TotalVFs where VFs do not migrate."""
    assert (read(rig, SrIov.TOTAL_VFS), read(rig, SrIov.INITIAL_VFS)) == (4, 4)
    assert read(rig, SrIov.VF_DEVICE_ID) == VF_DEVICE
    assert read(rig, SrIov.SUPPORTED_PAGE_SIZES) == REQUIRED_PAGES == 0x553
    assert read(rig, SrIov.SYSTEM_PAGE_SIZE) == 1
    assert read(rig, SrIov.FUNCTION_DEPENDENCY) == 0


def test_migration_is_read_only_zero(rig):
    """3.3.2.1, 3.3.3.2, 3.3.3.3, 3.3.4, 3.3.15."""
    assert write(rig, SrIov.CAPABILITIES, all_ones(4)) == 0
    assert write(rig, SrIov.STATUS, all_ones(2)) == 0
    assert write(rig, SrIov.MIGRATION_STATE, all_ones(4)) == 0
    control = write(rig, SrIov.CONTROL, all_ones(2))
    assert FIELDS.MIGRATION_ENABLE.get(control) == FIELDS.MIGRATION_INTERRUPT.get(control) == 0
    assert control == 0x19


@pytest.mark.parametrize(
    "reg",
    [
        SrIov.INITIAL_VFS,
        SrIov.TOTAL_VFS,
        SrIov.FUNCTION_DEPENDENCY,
        SrIov.FIRST_VF_OFFSET,
        SrIov.VF_STRIDE,
        SrIov.VF_DEVICE_ID,
        SrIov.SUPPORTED_PAGE_SIZES,
        SrIov.VF_BAR4,
        SrIov.VF_BAR5,
    ],
    ids=lambda reg: reg.name,
)
def test_what_the_device_says_cannot_be_written(rig, reg):
    before = read(rig, reg)
    assert write(rig, reg, all_ones(reg.width)) == before


def test_num_vfs_only_while_vf_enable_is_clear(rig):
    """3.3.7: NumVFs may only be written while VF Enable is Clear."""
    assert write(rig, SrIov.NUM_VFS, 3) == 3
    write(rig, SrIov.CONTROL, FIELDS.VF_ENABLE.mask)
    assert write(rig, SrIov.NUM_VFS, 1) == 3
    assert len(rig.places()) == 3
    write(rig, SrIov.CONTROL, 0)
    assert write(rig, SrIov.NUM_VFS, 1) == 1


def test_more_than_total_vfs_are_never_made(rig):
    """3.3.7 leaves NumVFs above TotalVFs undefined; here there are TotalVFs."""
    write(rig, SrIov.NUM_VFS, 0xFFFF)
    write(rig, SrIov.CONTROL, FIELDS.VF_ENABLE.mask)
    assert rig.places() == ["01:00.1", "01:00.2", "01:00.3", "01:00.4"]
    assert rig.pf.config.parts[SRIOV_AT].count == 4


def test_none_are_made_of_no_number(rig):
    write(rig, SrIov.NUM_VFS, 0)
    write(rig, SrIov.CONTROL, FIELDS.VF_ENABLE.mask)
    assert rig.places() == []


def test_the_page_size_is_one_of_those_supported(rig):
    """3.3.13: one bit, of those in Supported Page Sizes."""
    assert write(rig, SrIov.SYSTEM_PAGE_SIZE, 0x10) == 0x10
    for wrong in (0, 0x03, 0x11, 0x04, all_ones(4)):
        assert write(rig, SrIov.SYSTEM_PAGE_SIZE, wrong) == 0x10
    write(rig, SrIov.CONTROL, FIELDS.VF_ENABLE.mask)
    assert write(rig, SrIov.SYSTEM_PAGE_SIZE, 1) == 0x10


def test_ari_hierarchy_is_fixed_while_there_are_vfs(rig):
    """3.3.3.5, and offset and stride with it."""
    write(rig, SrIov.NUM_VFS, 2)
    write(rig, SrIov.CONTROL, FIELDS.VF_ENABLE.mask)
    assert write(rig, SrIov.CONTROL, 0x11) == 0x01
    assert write(rig, SrIov.CONTROL, 0x10) == 0x00
    assert write(rig, SrIov.CONTROL, 0x10) == 0x10


# -- 3.3.9, 3.3.10: offset and stride


def test_offset_and_stride_follow_num_vfs_and_ari():
    """12 VFs: 7 fit beside the PF without ARI, all fit with it."""
    rig = SriovRig(total=12).start(ari=False)
    found = {}
    for ari in (0, FIELDS.ARI_HIERARCHY.mask):
        rig.sriov.put(SrIov.CONTROL, ari)
        found[bool(ari)] = [tuple(rig.sriov.placement(n)) for n in (1, 7, 8, 12)]
    assert found[False] == [(1, 1), (1, 1), (256, 1), (256, 1)]
    assert found[True] == [(1, 1)] * 4


def test_only_the_lowest_physical_function_has_the_ari_bit():
    """3.3.3.5: and it is for all of the device."""
    rig = SriovRig(total=4, physical=2).start(ari=False)
    first, second = rig.drivers
    second.put(SrIov.CONTROL, FIELDS.ARI_HIERARCHY.mask)
    assert second.get(SrIov.CONTROL) == 0
    assert second.placement(4).offset == 256
    first.put(SrIov.CONTROL, FIELDS.ARI_HIERARCHY.mask)
    assert second.placement(4).offset == 2
    assert (first.get(SrIov.FUNCTION_DEPENDENCY), second.get(SrIov.FUNCTION_DEPENDENCY)) == (0, 1)


def test_vfs_do_not_move_when_another_function_s_ari_bit_does():
    """3.3.3.5: it must not change while any PF has VFs; here it then counts for later ones."""
    rig = SriovRig(total=4, physical=2).start(ari=False)
    first, second = rig.drivers
    found = second.enable(4)
    first.put(SrIov.CONTROL, FIELDS.ARI_HIERARCHY.mask)
    assert second.get(SrIov.FIRST_VF_OFFSET) == 256
    assert rig.places() == [str(each.place) for each in found]
    assert exists(rig.access, found[3].place)
    second.disable()
    assert second.placement(4).offset == 2


def test_vfs_of_two_physical_functions_take_turns():
    rig = SriovRig(total=3, physical=2).start()
    ours = [str(vf.place) for vf in rig.drivers[0].enable(3)]
    theirs = [str(vf.place) for vf in rig.drivers[1].enable(3)]
    assert ours == ["01:00.2", "01:00.4", "01:00.6"]
    assert theirs == ["01:00.3", "01:00.5", "01:00.7"]
    assert sorted(rig.places()) == sorted(ours + theirs)
    rig.drivers[0].disable()
    assert rig.places() == theirs


# -- where they appear, and that they vanish


def test_vfs_appear_and_vanish(rig):
    """2.1.2, 3.3.3.1: before VF Enable and after it a request for them is not claimed."""
    places = [Place(1, 0, n) for n in range(1, 6)]
    assert [exists(rig.access, place) for place in places] == [False] * 5
    found = rig.sriov.enable(4)
    assert [each.place for each in found] == places[:4]
    assert [exists(rig.access, place) for place in places] == [True] * 4 + [False]
    rig.sriov.disable()
    assert [exists(rig.access, place) for place in places] == [False] * 5
    assert rig.access.read(places[0], 0, 4) == all_ones(4)


def test_vfs_cross_to_the_next_bus_number(rig):
    """2.1.2: without ARI only 8 functions can be reached on the captured bus number."""
    rig = SriovRig(total=20).start(ari=False)
    (port,) = [each for each in rig.functions if each.place == Place(0, 3, 0)]
    assert port.buses == (1, 2)
    found = rig.sriov.enable(20)
    assert str(found[0].place) == "02:00.0"
    assert str(found[19].place) == "02:02.3"
    assert len(rig.places()) == 20
    assert str(rig.vf[19]) == "02:02.3 vf 0.19"


@pytest.mark.parametrize(("ari", "last", "ports"), [(False, "04:02.3", 4), (True, "03:02.4", 3)])
def test_behind_a_switch_every_port_above_covers_the_vfs(ari, last, ports):
    """Root port, upstream port, downstream port: subordinate numbers reach to the last VF."""
    rig = Rig()
    root, switch = rig.bus.plug(RootPort(), 3), Switch(2)
    root.below.plug(switch.upstream)
    pf, vfs = card("pf", PF_DEVICE), [card(f"vf {n}", VF_DEVICE) for n in range(20)]
    make_physical(pf, vfs)
    switch.downstream[0].below.plug(pf)
    access = open_ecam(rig.cpu, ECAM)
    scan = SriovScan(access, ari)
    functions = enumerate_pci(rig.cpu, access, scan=scan)
    numbers = [found.buses for top in functions for found in top.walk() if found.buses]
    assert numbers == [(1, ports + 1), (2, ports + 1), (3, ports), (ports + 1, ports + 1)]
    found = scan.physical[0].enable(20)
    assert str(found[19].place) == last
    rig.cpu.store(found[19].bar(0), 0x19)
    assert vfs[19].scratch.FIRST == 0x19
    let_master(access, found[19])
    vfs[19].dma.write(0x1000, b"through two ports")
    assert rig.ram.read(0x1000, 7) == b"through"


def test_with_ari_the_same_vfs_stay_on_one_bus():
    rig = SriovRig(total=20).start(ari=True)
    (port,) = [each for each in rig.functions if each.place == Place(0, 3, 0)]
    assert port.buses == (1, 1)
    assert str(rig.sriov.enable(20)[19].place) == "01:02.4"


def test_300_vfs_need_a_second_bus_even_with_ari():
    rig = SriovRig(total=300).start(ari=True)
    found = rig.sriov.enable(300)
    assert [str(found[n].place) for n in (0, 254, 255, 299)] == [
        "01:00.1",
        "01:1f.7",
        "02:00.0",
        "02:05.4",
    ]
    assert rig.access.read(found[299].place, Header.REVISION_ID.offset, 4) == 0xFF000000


def test_without_ari_forwarding_the_port_passes_only_device_0():
    """PCI Express 3.0, 6.13: the port above must forward ARI."""
    rig = SriovRig(total=12).start()
    rig.sriov.enable(12)
    far = Place(1, 1, 0)
    assert exists(rig.access, far)
    control = Express.DEVICE_CONTROL_2
    at = rig.port.config.find(Express)
    at.DEVICE_CONTROL_2 &= ~control.ARI_FORWARDING.mask
    assert not exists(rig.access, far)
    assert exists(rig.access, Place(1, 0, 7))


def test_a_bus_number_outside_the_port_s_range_is_not_reached():
    """2.1.2: software must let Subordinate Bus Number cover the VFs."""
    rig = SriovRig(total=20).start(ari=False)
    rig.sriov.enable(20)
    assert exists(rig.access, Place(2, 0, 0))
    rig.access.write(Place(0, 3, 0), 0x1A, 1, 1)
    assert not exists(rig.access, Place(2, 0, 0))


def test_the_request_for_the_next_bus_number_is_of_type_1_on_the_link():
    """2.1.2: no bridge turned it into type 0, for the link has another number."""
    rig = SriovRig(total=20).start(ari=False)
    rig.sriov.enable(20)
    with rig.root.watching() as crossings:
        exists(rig.access, Place(2, 0, 0))
        exists(rig.access, Place(1, 0, 0))
    asked = [(each.bus, each.tlp.kind) for each in crossings if each.tlp.kind.startswith("Cfg")]
    assert asked == [(0, "CfgRd1"), (1, "CfgRd1"), (0, "CfgRd1"), (1, "CfgRd0")]


def test_a_number_that_comes_anew_moves_the_vfs(rig):
    """Routing ids follow the physical function, which follows its port."""
    rig.sriov.enable(2)
    for at in (0x19, 0x1A):
        rig.access.write(Place(0, 3, 0), at, 1, 0x40)
    assert rig.places() == ["40:00.1", "40:00.2"]
    assert rig.vf[1].source_id == 0x4002
    assert exists(rig.access, Place(0x40, 0, 2))


# -- 3.4.1: the header of a VF


def test_a_scan_that_does_not_know_passes_them_by(rig):
    """3.4.1.1, 3.4.1.2: vendor and device id are FFFFh."""
    rig.sriov.enable(4)
    assert rig.access.read(Place(1, 0, 1), 0, 4) == all_ones(4)
    assert [str(each.place) for each in rig.functions[1].below] == ["01:00.0"]


def test_what_a_vf_has_of_its_own_and_what_is_zero(rig):
    found = rig.sriov.enable(4)[0]
    place = found.place

    def all_ones_in(reg):
        rig.access.write(place, reg.offset, reg.width, all_ones(reg.width))
        return rig.access.read(place, reg.offset, reg.width)

    assert all_ones_in(Header.COMMAND) == Header.COMMAND.BUS_MASTER.mask
    for name in ("CACHE_LINE_SIZE", "LATENCY_TIMER", "BIST", "INTERRUPT_LINE", "INTERRUPT_PIN"):
        assert all_ones_in(getattr(Header, name)) == 0, name
    for name in ("BAR0", "BAR1", "BAR2", "BAR3", "BAR4", "BAR5", "EXPANSION_ROM", "CARDBUS_CIS"):
        assert all_ones_in(getattr(Type0, name)) == 0, name
    assert rig.access.read(place, Header.HEADER_TYPE.offset, 1) == 0
    assert found.class_code == rig.pf.header.CLASS_CODE
    assert found.vendor == 0x1AF4
    assert found.device == VF_DEVICE != PF_DEVICE
    status = rig.access.read(place, Header.STATUS.offset, 2)
    assert status == Header.STATUS.CAPABILITIES_LIST.mask


def test_a_vf_has_capabilities_of_its_own(rig):
    """MSI-X, PCI Express, power; ARI is in each function of an ARI device (7.23)."""
    place = rig.sriov.enable(1)[0].place
    assert capability_list(rig.access, place) == [(0x11, MSIX_AT), (1, POWER_AT), (0x10, 0xC0)]
    assert extended_list(rig.access, place) == [(Ari.id, 0x100)]
    offset = ENDPOINT_AT + Express.DEVICE_CAPABILITIES.offset
    assert Express.DEVICE_CAPABILITIES.FLR.get(rig.access.read(place, offset, 4))


def test_a_vf_pulls_no_pin(rig):
    """3.4.1: VFs do not have INTx, nor the bit that tells of it."""
    place = rig.sriov.enable(1)[0].place
    rig.vf[0].irq.set(True)
    assert not any(line.level for line in rig.lines.values())
    status = rig.access.read(place, Header.STATUS.offset, 2)
    assert Header.STATUS.INTERRUPT_STATUS.get(status) == 0


def test_link_and_packets_are_those_of_the_physical_function(rig):
    """3.5.4, 3.5.7: Device Control and Link Control of a VF are reserved, but for FLR."""
    place = rig.sriov.enable(1)[0].place
    at = ENDPOINT_AT
    for reg in (Express.LINK_CONTROL, Express.DEVICE_CONTROL_2, Express.LINK_CONTROL_2):
        rig.access.write(place, at + reg.offset, reg.width, all_ones(reg.width))
        assert rig.access.read(place, at + reg.offset, reg.width) == 0
    offset = at + Express.DEVICE_CONTROL.offset
    rig.access.write(place, offset, 2, 0x7FFF)
    assert rig.access.read(place, offset, 2) == 0
    express = rig.vf[0].config.find(Express)
    theirs = rig.pf.config.find(Express)
    rig.access.write(Place(1, 0, 0), offset, 2, 0x1000)
    assert (express.max_payload, express.max_read_request) == (128, 256)
    assert express.max_payload == theirs.max_payload < LARGEST_PAYLOAD


def test_the_header_in_a_dump_is_not_taken_for_an_absent_one(rig):
    rig.sriov.enable(1)
    dump = dumped(rig.vf[0])
    assert dump.bdf == "01:00.1"
    assert dump.data[:4] == b"\xff" * 4
    assert len(dump.data) == 4096


# -- 2.2: resets


def test_flr_of_a_vf_resets_it_and_leaves_the_others(rig):
    """2.2.2.1: the VF's own state goes; it stays enabled, and so does its memory."""
    first, second = rig.sriov.enable(2)
    for vf in (first, second):
        rig.access.write(vf.place, Header.COMMAND.offset, 2, 4)
        rig.access.write(vf.place, MSIX_AT + 2, 2, 0x8000)
    reset_function(rig.access, first.place)
    assert exists(rig.access, first.place)
    assert rig.access.read(first.place, Header.COMMAND.offset, 2) == 0
    assert rig.access.read(first.place, MSIX_AT + 2, 2) >> 15 == 0
    assert rig.access.read(second.place, Header.COMMAND.offset, 2) == 4
    assert rig.access.read(second.place, MSIX_AT + 2, 2) >> 15 == 1
    assert rig.sriov.enabled
    rig.cpu.store(first.bar(0), 0x1234)
    assert rig.cpu.load(first.bar(0)) == 0x1234


def test_flr_of_the_physical_function_ends_all_vfs(rig):
    """2.2.2.2: it resets VF Enable; afterwards the VFs no longer exist."""
    found = rig.sriov.enable(4)
    rig.access.write(found[0].place, Header.COMMAND.offset, 2, 4)
    reset_function(rig.access, rig.sriov.found.place)
    assert not rig.sriov.enabled
    assert [exists(rig.access, each.place) for each in found] == [False] * 4
    assert rig.sriov.get(SrIov.NUM_VFS) == 0
    assert rig.vf[0].header.COMMAND == 0


def test_flr_brings_back_pages_of_4_kib(rig):
    """3.3.13: the default of System Page Size."""
    rig.sriov.put(SrIov.SYSTEM_PAGE_SIZE, 0x10)
    reset_function(rig.access, rig.sriov.found.place)
    assert rig.sriov.get(SrIov.SYSTEM_PAGE_SIZE) == 1
    assert rig.sriov.size_bars()[0].size == 0x1000


def test_the_reset_of_the_bus_ends_them_too(rig):
    """2.2.1: Conventional Reset."""
    found = rig.sriov.enable(4)
    rig.access.write(Place(0, 3, 0), 0x3E, 2, 0x40)
    rig.access.write(Place(0, 3, 0), 0x3E, 2, 0)
    assert rig.places() == []
    assert not exists(rig.access, found[0].place)


def test_vfs_that_come_again_are_as_new(rig):
    first = rig.sriov.enable(1)[0]
    rig.access.write(first.place, Header.COMMAND.offset, 2, 4)
    rig.sriov.disable()
    again = rig.sriov.enable(1)[0]
    assert again.place == first.place
    assert rig.access.read(again.place, Header.COMMAND.offset, 2) == 0


# -- misuse of the library


def test_what_cannot_be_a_vf_or_have_them():
    with pytest.raises(ValueError, match="at least one VF"):
        make_physical(card("pf", 1), [])
    with pytest.raises(ValueError, match="the same BARs"):
        make_physical(card("pf", 1), [card("a", 2), card("b", 2, size=0x2000)])
    with pytest.raises(ValueError, match="the same device id"):
        make_physical(card("pf", 1), [card("a", 2), card("b", 3)])
    with pytest.raises(ValueError, match="cannot have BAR2 in port space"):
        make_physical(card("pf", 1), [Card("a", 2, ports=0x20)])
    with pytest.raises(ValueError, match="is no physical function"):
        make_physical(card("pf", 1), [card("a", 2)], lowest=card("other", 3))
    vf = card("a", 2)
    make_physical(card("pf", 1), [vf])
    with pytest.raises(ValueError, match="a VF already"):
        make_physical(card("pf", 1), [vf])
    with pytest.raises(ValueError, match="or a bridge"):
        make_physical(card("pf", 1), [PciBridge()])
    rom = card("a", 2)
    rom.rom_bar(None, 0x800)
    with pytest.raises(ValueError, match="cannot have EXPANSION_ROM"):
        make_physical(card("pf", 1), [rom])


@pytest.mark.parametrize(
    ("total", "pages"), [(0, 0x553), (0xFF01, 0x553), (1, 0x552), (1, 1 << 33)]
)
def test_a_capability_that_cannot_be(total, pages):
    with pytest.raises(ValueError, match=r"VFs, not|lack some of"):
        Sharing(total, VF_DEVICE, [], pages=pages)


def test_a_physical_function_is_plugged_in_once():
    pf = card("pf", PF_DEVICE)
    make_physical(pf, [card("vf", VF_DEVICE)])
    RootPort().below.plug(pf)
    assert str(place_of(pf.source_id)) == "00:00.0"
    with pytest.raises(ValueError, match="overlaps"):
        make_physical(pf, [card("vf", VF_DEVICE)])
    assert pf.config.extended_capabilities()[SRIOV_AT].id == SrIov.id
