"""Virtual functions behind VT-d: each in a domain of its own, isolated by its source id."""

import pytest

from tests.virtio.sriov_net_rig import EACH, ROOM, NetRig, frame, mac
from virtlab.errors import DmaFault
from virtlab.guest.pci_acs import enable_acs_everywhere
from virtlab.guest.room import Room
from virtlab.guest.vtd import VtdDriver
from virtlab.iommu.registers import BASE
from virtlab.iommu.vtd import VtdUnit
from virtlab.pci.acs import groups

TABLES, GUESTS = 0x8_0000, 4


@pytest.fixture
def rig():
    """Every function reaches the memory of its own guest, and no other."""
    made = NetRig(total=GUESTS - 1)
    unit = VtdUnit(made.ram)
    made.memory.map(BASE, VtdUnit.length, unit, "vtd", width=8)
    made.root.memory, made.root.message = unit.dma_for, unit.remap
    made.vtd = VtdDriver(made.cpu, BASE, Room(TABLES, TABLES))
    made.vtd.start()
    enable_acs_everywhere(made.access, made.functions)
    for number in range(GUESTS):
        domain = made.vtd.new_domain()
        made.vtd.map(domain, ROOM + number * EACH, ROOM + number * EACH, EACH)
        made.vtd.attach(0x0100 + number, domain)
    made.vtd.enable()
    return made.start()


def test_guests_talk_through_the_card_and_nothing_is_refused(rig):
    hello = frame(mac(2), mac(1))
    rig.nets[1].send(hello)
    rig.nets[0].send(frame(mac(3), mac(0)))
    assert rig.receive() == {2: [hello], 3: [frame(mac(3), mac(0))]}
    assert rig.vtd.faults.read() == []


def test_a_vf_reaches_no_other_guest_s_memory(rig):
    """From every function to every guest: 4 times 4, of which 4 are its own."""
    functions = [rig.card, *rig.card.virtual]
    for number, function in enumerate(functions):
        for owner in range(GUESTS):
            gpa = ROOM + owner * EACH + EACH - 0x1000
            before = rig.ram.read(gpa, 8)
            if owner == number:
                function.dma.write(gpa, b"my own..")
                assert rig.ram.read(gpa, 8) == b"my own.."
                continue
            with pytest.raises(DmaFault):
                function.dma.write(gpa, b"intruder")
            assert rig.ram.read(gpa, 8) == before
            (fault,) = rig.vtd.faults.read()
            assert fault.source_id == function.source_id == 0x0100 + number


def test_a_vf_that_comes_anew_is_still_in_its_domain(rig):
    """The source id is the same, so the tables are too: software must detach it first."""
    rig.sriov.disable()
    again = rig.sriov.enable(1)
    rig.access.write(again[0].place, 4, 2, 4)
    rig.card.virtual[0].dma.write(ROOM + EACH, b"here")
    with pytest.raises(DmaFault):
        rig.card.virtual[0].dma.write(ROOM, b"here")


def test_each_is_a_group_of_its_own(rig):
    alone = [group for group in groups(rig.bus) if len(group) == 1]
    for function in (rig.card, *rig.card.virtual):
        assert [function] in alone
