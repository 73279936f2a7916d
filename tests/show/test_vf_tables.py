"""The tables of a card with virtual functions say what configuration space holds."""

import pytest

from tests.pci.sriov_rig import SriovRig
from virtlab.guest.pci_acs import enable_acs_everywhere
from virtlab.pci.acs import groups
from virtlab.pci.decode import decode
from virtlab.pci.dump import dumped, example
from virtlab.pci.extended import SrIov
from virtlab.pci.tlp import bdf_text, source_id
from virtlab.show.vf_grid import OTHER, PF, VF, function_map, kinds_of
from virtlab.show.vf_tables import capability_table, group_table, meaning, vf_table


@pytest.fixture
def rig():
    return SriovRig(total=3).start()


def rows(table):
    return {row[0]: row[1:] for row in table.rows}


def test_the_capability_is_read_from_the_bytes(rig):
    rig.sriov.enable(2)
    said = {row[1]: row[2:4] for row in capability_table(dumped(rig.pf)).rows}
    assert said["TOTAL_VFS"] == ("0x0003", "3")
    assert said["NUM_VFS"] == ("0x0002", "2")
    assert said["VF_DEVICE_ID"] == ("0x0101", "")
    assert said["SYSTEM_PAGE_SIZE"] == ("0x00000001", "4 KiB")
    assert "VF_ENABLE=1" in said["CONTROL"][1]
    assert "VF_BAR5" not in said
    assert "STATUS" not in said
    docs = {row[1]: row[4] for row in capability_table(dumped(rig.pf)).rows}
    assert {docs[name] for name in docs if name.startswith("VF_BAR")} == {SrIov.VF_BAR0.doc}


def test_a_dump_of_another_machine_has_one_too():
    """QEMU's NVMe controller, in the example that comes with the course."""
    (with_it,) = [
        each for each in example() if any(e.id == SrIov.id for e in decode(each).extended)
    ]
    table = capability_table(with_it, "An NVMe disk")
    assert table.caption == "An NVMe disk"
    assert "FIRST_VF_OFFSET" in table.text


def test_a_function_without_it_is_refused(rig):
    """Its PCI Express capability has the same number, 0x10, in the other list."""
    with pytest.raises(LookupError, match="has no SR-IOV capability"):
        capability_table(dumped(rig.neighbour))


def test_page_sizes_are_bits():
    assert meaning("SUPPORTED_PAGE_SIZES", 0x553) == ("4 KiB, 8 KiB, 64 KiB, 256 KiB, 1 MiB, 4 MiB")
    assert meaning("VF_DEVICE_ID", 0x1041) == ""


def test_the_vfs_are_where_they_say(rig):
    found = rig.sriov.enable(3)
    table = rows(vf_table(found))
    assert list(table) == [bdf_text(function.source_id) for function in rig.vf]
    for vf, (number, memory) in zip(found, table.values(), strict=True):
        assert number == f"0x{source_id(*vf.place):04x}"
        assert f"BAR 0: {vf.bar(0):#x}, 4 KiB" in memory


def test_groups_side_by_side(rig):
    """Behind a port without ACS all functions of a card are one group; with ACS, one each."""
    rig.sriov.enable(2)
    before = groups(rig.bus)
    enable_acs_everywhere(rig.access, rig.functions)
    table = group_table(before, groups(rig.bus), ("ACS off", "ACS on"))
    assert table.headers == ("one group, ACS off", "functions", "groups, ACS on")
    port, card = str(rig.port), [str(each) for each in (rig.pf, *rig.vf[:2])]
    assert rows(table)["; ".join([port, *card])] == ("4", "4")
    assert rows(table)[f"{rig.other}; {rig.neighbour}"] == ("2", "2")
    back = group_table(groups(rig.bus), before)
    assert rows(back)[card[1]] == ("1", "1"), "alone now, and then a part of one group"


def test_functions_that_have_gone_are_in_no_group(rig):
    rig.sriov.enable(2)
    before = groups(rig.bus)
    rig.sriov.disable()
    now = rows(group_table(before, groups(rig.bus)))
    (together,) = [counts for names, counts in now.items() if "pf 0" in names]
    assert together == ("4", "1")


def test_the_map_of_a_machine_has_three_kinds(rig):
    rig.sriov.enable(3)
    kinds = kinds_of(rig.bus)
    assert kinds[rig.pf.source_id] == PF
    assert [rid for rid, kind in kinds.items() if kind == VF] == [
        function.source_id for function in rig.vf
    ]
    assert kinds[rig.neighbour.source_id] == kinds[rig.port.source_id] == OTHER
    assert "bus 01: PF 01:00.0, VF 01:00.1 to 01:00.3" in function_map(kinds).text
