"""The guest's side of SR-IOV where the device is not as it should be, or is no such device."""

import pytest

from tests.pci.rig import Card, Rig
from tests.pci.sriov_rig import ECAM, PF_DEVICE, VF_DEVICE, SriovRig, card
from virtlab.guest import pci_sriov
from virtlab.guest.pci import Found, FoundBar, Place, PortAccess, open_ecam
from virtlab.guest.pci_express import extended_list, find_extended, forward_ari, reset_function
from virtlab.guest.pci_resources import Windows, assign, enumerate_pci
from virtlab.guest.pci_sriov import Sriov, SriovFailed, SriovScan, place_of
from virtlab.pci.extended import Aer, SrIov
from virtlab.pci.sriov_functions import make_physical
from virtlab.wire import all_ones


class Paper:
    """Configuration space as a dict of dwords; the rest reads 0."""

    def __init__(self, **words):
        self.words = {int(at, 16): word for at, word in words.items()}

    def read(self, place, offset, size):
        word = self.words.get(offset & ~3, 0) >> 8 * (offset & 3)
        return word & all_ones(size)

    def write(self, place, offset, size, value):
        self.words[offset & ~3] = value


HERE = Place(1, 0, 0)
EXPRESS = {"0x04": 0x0010_0000, "0x34": 0x40, "0x40": 0x0002_0010}


def test_a_function_without_pci_express_has_no_extended_capabilities():
    assert extended_list(Paper(), HERE) == []
    with pytest.raises(LookupError, match="no PCI Express"):
        reset_function(Paper(), HERE)
    assert not forward_ari(Paper(), HERE)


@pytest.mark.parametrize("word", [0, all_ones(4)])
def test_an_empty_list(word):
    """PCI Express 3.0, 7.9: a header of zeros, or of ones, is none."""
    assert extended_list(Paper(**EXPRESS, **{"0x100": word}), HERE) == []


def test_a_list_that_loops_ends():
    looping = Paper(**EXPRESS, **{"0x100": 0x2001_0001, "0x200": 0x1001_0002})
    found = extended_list(looping, HERE)
    assert found[:3] == [(1, 0x100), (2, 0x200), (1, 0x100)]
    assert len(found) == 960


def test_a_pointer_into_the_header_ends_the_list():
    assert extended_list(Paper(**EXPRESS, **{"0x100": 0x0401_0001}), HERE) == [(1, 0x100)]


def test_a_port_that_cannot_forward_ari():
    assert not forward_ari(Paper(**EXPRESS), HERE)


def test_a_function_without_the_capability():
    rig = SriovRig().start()
    (plain,) = rig.functions[2].below
    assert str(plain.place) == "02:00.0"
    with pytest.raises(LookupError, match=r"02:00\.0 has no SR-IOV capability"):
        Sriov(rig.access, plain)
    assert find_extended(rig.access, plain.place, Aer) == 0x100


def test_how_many_vfs_can_be_made():
    rig = SriovRig(total=4).start()
    for wrong in (0, 5, -1):
        with pytest.raises(ValueError, match="VFs of 4 cannot be made now"):
            rig.sriov.enable(wrong)
    rig.sriov.enable(2)
    with pytest.raises(ValueError, match="3 VFs of 4 cannot be made now"):
        rig.sriov.enable(3)
    rig.sriov.disable()
    assert rig.sriov.get(SrIov.NUM_VFS) == 0
    assert len(rig.sriov.enable(3)) == 3


def test_a_vf_that_does_not_appear(monkeypatch):
    """The bus numbers were taken away: nobody answers there."""
    monkeypatch.setattr(pci_sriov, "POLLS", 3)
    rig = SriovRig(total=20).start(ari=False)
    rig.access.write(Place(0, 3, 0), 0x1A, 1, 1)
    with pytest.raises(SriovFailed, match=r"02:00\.0, VF 1 of 01:00\.0, does not appear"):
        rig.sriov.enable(20)


def test_a_vf_that_takes_its_time():
    """SR-IOV 1.1, 3.3.3.1: software waits, here by looking again."""
    rig = SriovRig(total=1).start()
    access, left = rig.access, [5]

    class Slow:
        write = access.write

        def read(self, place, offset, size):
            if place == Place(1, 0, 1) and left[0]:
                left[0] -= 1
                return all_ones(size)
            return access.read(place, offset, size)

    rig.sriov.access = Slow()
    assert [str(each.place) for each in rig.sriov.enable(1)] == ["01:00.1"]
    assert left == [0]


def test_when_vfs_may_be_asked():
    """SR-IOV 1.1, 3.3.3.1: not within 100 ms after VF Enable was set; not set within 1 s after."""
    rig = SriovRig(total=2)
    access, seen = open_ecam(rig.cpu, ECAM), []

    class Watched:
        def read(self, place, offset, size):
            seen.append(place)
            return access.read(place, offset, size)

        write = access.write

    scan = SriovScan(Watched(), pause=seen.append)
    enumerate_pci(rig.cpu, access, scan=scan)
    seen.clear()
    (sriov,) = scan.physical
    sriov.enable(2)
    assert Place(1, 0, 1) not in seen[: seen.index(100_000_000)]
    assert Place(1, 0, 1) in seen
    sriov.disable()
    assert seen.count(1_000_000_000) == 1
    assert seen.index(100_000_000) < seen.index(1_000_000_000)


def test_without_room_a_vf_has_no_bars():
    """A scan that made no room, as firmware's: the VFs are there, and reach nothing."""
    rig = SriovRig(total=2)
    access = open_ecam(rig.cpu, ECAM)
    functions = enumerate_pci(rig.cpu, access)
    found = functions[1].below[0]
    assert [vf.bars for vf in Sriov(access, found).enable(2)] == [[], []]


def test_a_scan_by_ports_sees_no_extended_capability():
    rig = SriovRig(total=2)
    scan = SriovScan(PortAccess(rig.cpu))
    scan.run()
    assert scan.physical == [] or scan.physical[0].total == 2


def test_an_integrated_physical_function():
    """On bus 00 there is no port above: no ARI, VFs beside it."""
    rig = Rig()
    pf = card("integrated", PF_DEVICE)
    make_physical(pf, [card(f"vf {n}", VF_DEVICE) for n in range(3)])
    rig.bus.plug(pf, 8)
    access = open_ecam(rig.cpu, ECAM)
    scan = SriovScan(access)
    enumerate_pci(rig.cpu, access, scan=scan)
    found = scan.physical[0].enable(3)
    assert [str(each.place) for each in found] == ["00:08.1", "00:08.2", "00:08.3"]
    rig.cpu.store(found[2].bar(0), 7)
    assert rig.cpu.load(found[2].bar(0)) == 7


def test_a_vf_whose_place_is_taken_stays_unseen():
    """A device made wrong: function 1 is there already. The other VFs are not harmed."""
    rig = SriovRig(total=3)
    rig.port.below.plug(Card("in the way", 0x0777), 0, 1)
    rig.start()
    found = rig.sriov.enable(3)
    assert rig.access.read(found[0].place, 0, 4) == 0x0777_1AF4
    assert rig.vf[0].bus is None
    assert [str(vf.place) for vf in found[1:]] == ["01:00.2", "01:00.3"]
    rig.sriov.disable()
    assert rig.access.read(found[0].place, 0, 4) == 0x0777_1AF4


def test_the_next_bus_is_numbered_above_the_vfs():
    """2.1.2: so that no bridge's number is one of theirs."""
    rig = SriovRig(total=300).start(ari=False)
    buses = [found.buses for found in rig.functions if isinstance(found, Found) and found.buses]
    assert rig.sriov.get(SrIov.NUM_VFS) == 0
    assert buses == [(1, 3), (4, 4)]
    assert place_of(0x0403) == Place(4, 0, 3)


def test_room_for_vfs_disturbs_no_other_alignment():
    """Three apertures of 1 MiB are no power of two, and want 1 MiB only: 3.3.14."""
    room = FoundBar(7, "memory", 0x30_0000, 64, False, register=0x1A4, align=0x10_0000)
    own = FoundBar(0, "memory", 0x20_0000, 32, False)
    function = Found(HERE, 0x1AF4, PF_DEVICE, 0, 0, [room, own])
    assign([function], Windows(memory=(0x9030_0000, 0x100_0000)))
    assert (own.address, room.address) == (0x9040_0000, 0x9060_0000)
