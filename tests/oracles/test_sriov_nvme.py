"""`guest/pci_sriov.py`, unchanged, on QEMU's nvme: offsets, strides, VFs that come and go.

QEMU's VFs read FFFF:FFFF like real ones, and lie where the PF's registers say. Where QEMU differs
from the specification, a test below names the clause.
"""

import pytest

from tests.needs import needs_qemu, require
from tests.oracles.q35 import flat, theirs
from tests.pci.sriov_rig import SriovRig
from virtlab.guest.pci import Place, capability_list, find, open_ecam
from virtlab.guest.pci_acs import enable_acs_everywhere
from virtlab.guest.pci_express import extended_list, reset_function
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pci_sriov import SriovScan, exists, let_master
from virtlab.hosts.remote import QtestMachine
from virtlab.pci.config import Header
from virtlab.pci.extended import Ari, SrIov
from virtlab.pci.sriov import REQUIRED_PAGES
from virtlab.wire import all_ones

ECAM, VFS = 0xB000_0000, 12
CSTS, FATAL = 0x1C, 2
"""NVMe's status register, and what QEMU answers in a VF that nobody has brought on line."""

TREE = f"""
pcie-root-port,id=rp1,chassis=1,slot=1,addr=3.0
pcie-root-port,id=rp2,chassis=2,slot=2,addr=4.0
nvme-subsys,id=subsystem
nvme,serial=1,subsys=subsystem,bus=rp1,sriov_max_vfs={VFS},sriov_vq_flexible={2 * VFS},\
sriov_vi_flexible={VFS},max_ioqpairs={2 * VFS + 2},msix_qsize={2 * VFS + 3}
edu,bus=rp2
"""


class Theirs:
    """QEMU, scanned by our guest."""

    def __init__(self, machine, ari):
        self.cpu = machine
        self.access = open_ecam(machine, ECAM)
        scan = SriovScan(self.access, ari)
        self.functions = enumerate_pci(machine, self.access, scan=scan)
        (self.sriov,) = scan.physical


@pytest.fixture(scope="module")
def machine():
    require("QEMU")
    words = ["-nodefaults"]
    for device in TREE.split():
        words += ["-device", device]
    with QtestMachine("q35", words) as made:
        yield made


@pytest.fixture(params=["with ARI", "without"])
def world(machine, request):
    made = Theirs(machine, request.param == "with ARI")
    yield made
    made.sriov.disable()


@needs_qemu
def test_the_capability_is_found_and_read(world):
    sriov = world.sriov
    assert (sriov.total, sriov.get(SrIov.INITIAL_VFS)) == (VFS, VFS)
    assert sriov.get(SrIov.SUPPORTED_PAGE_SIZES) == REQUIRED_PAGES
    assert sriov.get(SrIov.SYSTEM_PAGE_SIZE) == 1
    assert sriov.get(SrIov.VF_DEVICE_ID) == sriov.found.device == 0x0010
    assert tuple(sriov.placement(VFS)) == (1, 1)


@needs_qemu
def test_vfs_come_and_go(world):
    """The first request finds each of them; after VF Enable is clear it finds none."""
    assert not any(exists(world.access, Place(1, n // 8, n % 8)) for n in range(1, 32))
    for count in (1, 5, VFS):
        found = world.sriov.enable(count)
        assert [str(vf.place) for vf in found] == [
            f"01:{n // 8:02x}.{n % 8}" for n in range(1, count + 1)
        ]
        there = [n for n in range(1, 32) if exists(world.access, Place(1, n // 8, n % 8))]
        assert there == list(range(1, count + 1))
        world.sriov.disable()
        assert not any(exists(world.access, vf.place) for vf in found)


@needs_qemu
def test_qemu_s_own_list_has_the_same_functions(world, machine):
    """`query-pci`, which reads QEMU's registers and not our mind."""

    def listed():
        devices = flat(theirs(machine.qmp("query-pci")))
        return {(each["slot"], each["function"]) for each in devices if each["bus"] == 1}

    assert listed() == {(0, 0)}
    found = world.sriov.enable(VFS)
    assert listed() == {(0, 0)} | {tuple(vf.place[1:]) for vf in found}
    world.sriov.disable()
    assert listed() == {(0, 0)}


@needs_qemu
def test_a_vf_answers_in_its_slice(world):
    """VF BAR + n x aperture, for all of them; behind the last one nobody."""
    found = world.sriov.enable(VFS)
    for vf in found:
        assert world.cpu.load(vf.bar(0) + CSTS) == 0
        let_master(world.access, vf)
    assert [world.cpu.load(vf.bar(0) + CSTS) for vf in found] == [FATAL] * VFS
    assert world.cpu.load(found[-1].bar(0) + found[-1].bars[0].size + CSTS) == 0


@needs_qemu
def test_a_vf_s_header(world):
    vf = world.sriov.enable(1)[0]
    assert world.access.read(vf.place, 0, 4) == all_ones(4)
    assert vf.class_code == world.sriov.found.class_code == 0x010802
    assert vf.header_type == 0
    assert {id_ for id_, _ in capability_list(world.access, vf.place)} == {0x01, 0x10, 0x11}
    assert [id_ for id_, _ in extended_list(world.access, vf.place)] == [Ari.id]
    for index in range(6):
        world.access.write(vf.place, 0x10 + 4 * index, 4, all_ones(4))
        assert world.access.read(vf.place, 0x10 + 4 * index, 4) == 0


@needs_qemu
def test_flr_of_the_physical_function_ends_the_vfs(world):
    """2.2.2.2: afterwards the VFs no longer exist."""
    found = world.sriov.enable(3)
    assert all(exists(world.access, vf.place) for vf in found)
    reset_function(world.access, world.sriov.found.place)
    assert not any(exists(world.access, vf.place) for vf in found)


@needs_qemu
def test_room_is_made_and_others_keep_theirs(world):
    """Addresses for all VFs inside the port's window; the neighbour answers where it was put."""
    room = [bar for bar in world.sriov.found.bars if bar.index >= 7]
    assert [(bar.size, bar.align) for bar in room] == [(VFS * 0x4000, 0x4000)]
    (port,) = [each for each in world.functions if each.place == Place(0, 3, 0)]
    base, limit = port.windows["memory"]
    assert base <= room[0].address
    assert room[0].address + room[0].size - 1 <= limit
    world.sriov.enable(VFS)
    assert world.cpu.load(find(world.functions, 0x1234, 0x11E8).bar(0)) == 0x0100_00ED


@needs_qemu
def test_acs_of_the_root_ports(world):
    """A pcie-root-port of QEMU has ACS; nothing else here has."""
    assert [str(place) for place in enable_acs_everywhere(world.access, world.functions)] == [
        "00:03.0",
        "00:04.0",
    ]


@needs_qemu
def test_our_device_says_the_same(world):
    """The same driver, the same numbers: places, stride, offset, slices."""
    ours = SriovRig(total=VFS, size=0x4000).start(ari=True)
    mine, qemus = ours.sriov.enable(VFS), world.sriov.enable(VFS)
    assert [vf.place for vf in mine] == [vf.place for vf in qemus]
    first, last = mine[0].bar(0), mine[-1].bar(0)
    assert last - first == qemus[-1].bar(0) - qemus[0].bar(0)
    for reg in (SrIov.SUPPORTED_PAGE_SIZES, SrIov.FIRST_VF_OFFSET, SrIov.VF_STRIDE):
        assert ours.sriov.get(reg) == world.sriov.get(reg)
    for reg in (SrIov.CONTROL, SrIov.STATUS, SrIov.NUM_VFS, SrIov.TOTAL_VFS):
        assert ours.sriov.get(reg) | 0x10 == world.sriov.get(reg) | 0x10


# -- where QEMU 7.2 differs


@needs_qemu
def test_where_qemu_differs_from_the_specification(world):
    sriov = world.sriov
    # 3.3.13: a VF BAR takes at least a system page. QEMU's size does not change with it.
    sriov.put(SrIov.SYSTEM_PAGE_SIZE, 0x10)
    assert sriov.size_bars()[0].size == 0x4000
    sriov.put(SrIov.SYSTEM_PAGE_SIZE, 1)
    vf = sriov.enable(2)[0]
    # 3.4.1.3: only Bus Master Enable can be written in a VF's command register.
    before = world.access.read(vf.place, Header.COMMAND.offset, 2)
    world.access.write(vf.place, Header.COMMAND.offset, 2, all_ones(2))
    assert world.access.read(vf.place, Header.COMMAND.offset, 2) & 0x0502 == 0x0502
    world.access.write(vf.place, Header.COMMAND.offset, 2, before)
    # 3.4.1: a VF has no pin.
    assert world.access.read(vf.place, Header.INTERRUPT_PIN.offset, 1) == 1
    # 3.3.7: NumVFs does not change while VF Enable is set.
    sriov.put(SrIov.NUM_VFS, 1)
    assert sriov.get(SrIov.NUM_VFS) == 1
    assert exists(world.access, vf.place._replace(number=2))
    # 2.2.2.2: a function level reset clears VF Enable. In QEMU the VFs go, and the bit stays.
    reset_function(world.access, sriov.found.place)
    assert sriov.enabled


@needs_qemu
def test_where_it_differs_ours_does_not():
    ours = SriovRig(total=2).start()
    ours.sriov.put(SrIov.SYSTEM_PAGE_SIZE, 0x10)
    assert ours.sriov.size_bars()[0].size == 0x10000
    ours.sriov.put(SrIov.SYSTEM_PAGE_SIZE, 1)
    vf = ours.sriov.enable(2)[0]
    ours.access.write(vf.place, Header.COMMAND.offset, 2, all_ones(2))
    assert ours.access.read(vf.place, Header.COMMAND.offset, 2) == 4
    assert ours.access.read(vf.place, Header.INTERRUPT_PIN.offset, 1) == 0
    ours.sriov.put(SrIov.NUM_VFS, 1)
    assert ours.sriov.get(SrIov.NUM_VFS) == 2
    reset_function(ours.access, ours.sriov.found.place)
    assert not ours.sriov.enabled
