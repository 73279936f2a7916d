"""A machine of ours with its virtual functions enabled, as `lspci -F` reads it."""

import json

import pytest

from tests.needs import needs_lspci
from tests.oracles.lspci import blocks, differences, drawn, run, said_by_us, seen, unforked
from tests.oracles.test_lspci import COMPLAINTS
from tests.pci.sriov_rig import SriovRig
from tests.virtio.sriov_net_rig import NetRig
from virtlab.guest.pci_sriov import SriovScan
from virtlab.pci.decode import decode
from virtlab.pci.dump import dumped, format_dump, load_dump
from virtlab.pci.report import as_data
from virtlab.pci.tree import tree_text


def one_bus():
    """Four VFs beside their PF."""
    rig = SriovRig(total=4).start()
    rig.sriov.enable(4)
    return rig


def next_bus():
    """Twenty VFs on the bus number after their PF's."""
    rig = SriovRig(total=20).start(ari=False)
    rig.sriov.enable(20)
    return rig


def two_physical():
    """Two physical functions, and some of the VFs of each."""
    rig = SriovRig(total=5, physical=2).start()
    rig.drivers[0].enable(2)
    rig.drivers[1].enable(5)
    return rig


def network():
    """The card of virtio-net functions, driven by four guests."""
    return NetRig(total=3).start()


MACHINES = {one_bus: 10, next_bus: 26, two_physical: 14, network: 7}
"""Machines, and how many functions each has."""

EXPECTED = (
    "LnkSta:\tSpeed unknown",
    "Capabilities: [84] Vendor Specific Information: VirtIO: <unknown>",
    *(f"Capabilities: [{at}] Vendor Specific Information: Len" for at in (40, 50, 60, 74, 84)),
)
"""What `lspci` says of real VFs as well: Link Status is reserved in them (SR-IOV 1.1, 3.5.8), and a
vendor's capability cannot be known by a vendor id of FFFFh. The window of virtio has no name."""


@needs_lspci
@pytest.mark.parametrize("make", MACHINES)
def test_every_function_is_what_lspci_says_and_nothing_is_unknown_to_it(tmp_path, make):
    path = tmp_path / "dump.txt"
    rig = make()
    functions = list(rig.bus.walk())
    path.write_text(format_dump(sorted(map(dumped, functions))))
    decoded = [decode(each) for each in load_dump(path)]
    ours = {each.bdf: json.loads(json.dumps(as_data(each))) for each in decoded}
    text = run(path, "-n", "-vvv")
    said = blocks(text)
    assert list(said) == list(ours)
    assert len(said) == MACHINES[make]
    for place, theirs in said.items():
        assert differences(theirs, said_by_us(ours[place])) == {}, place
    left = "\n".join(line for line in text.splitlines() if not line.strip().startswith(EXPECTED))
    assert [word for word in COMPLAINTS if word in left] == []
    spaces = [each.config for each in functions]
    count = sum(len(each.capabilities()) + len(each.extended_capabilities()) for each in spaces)
    assert text.count("Capabilities: ") == count


@needs_lspci
@pytest.mark.parametrize("make", [one_bus, two_physical, network])
def test_the_tree_is_the_one_that_lspci_draws(tmp_path, make):
    path = tmp_path / "dump.txt"
    assert tree_of(path, make) == unforked(run(path, "-t", "-v", "-n"))


@needs_lspci
def test_vfs_on_the_next_bus_number_hang_below_the_same_port(tmp_path):
    """`lspci` draws a branch for each bus number; in which order depends on its version."""
    path = tmp_path / "dump.txt"
    for text in (tree_of(path, next_bus), run(path, "-t", "-v", "-n")):
        below = text[text.index("03.0-[01-02]") : text.index("04.0-[03]")]
        assert below.count("ffff:ffff") == 20
        assert below.count("-[0000:01]-") == below.count("-[0000:02]-") == 1


def tree_of(path, make):
    """A machine of ours in `path`, and our tree of it as `lspci` would draw it."""
    path.write_text(format_dump(sorted(map(dumped, make().bus.walk()))))
    return drawn(seen(tree_text([decode(each) for each in load_dump(path)])))


@needs_lspci
def test_lspci_reads_the_numbers_of_the_capability(tmp_path):
    path = tmp_path / "dump.txt"
    rig = next_bus()
    path.write_text(format_dump([dumped(rig.pf)]))
    text = run(path, "-n", "-vvv")
    base = next(bar for bar in rig.sriov.found.bars if bar.index == 7).address
    for words in (
        "IOVCtl:\tEnable+ Migration- Interrupt- MSE+ ARIHierarchy-",
        "Initial VFs: 20, Total VFs: 20, Number of VFs: 20, Function Dependency Link: 00",
        "VF offset: 256, stride: 1, Device ID: 0101",
        "Supported Page Size: 00000553, System Page Size: 00000001",
        f"Region 0: Memory at {base:016x} (64-bit, prefetchable)",
    ):
        assert words in text, words


@needs_lspci
def test_a_vf_is_as_lspci_shows_those_of_real_cards(tmp_path):
    """Ids of all ones, no regions, no pin, MSI-X, FLR, ARI."""
    path = tmp_path / "dump.txt"
    path.write_text(format_dump([dumped(next_bus().vf[19])]))
    text = run(path, "-n", "-vvv")
    assert text.startswith("02:02.3 ff00: ffff:ffff")
    assert "Control: I/O- Mem- BusMaster- " in text
    assert "FLReset+" in text
    assert "Alternative Routing-ID Interpretation (ARI)" in text
    assert not any(word in text for word in ("Region ", "Interrupt: pin"))


def test_a_scan_finds_what_it_made_room_for():
    """A second scan of a machine with VFs on: it clears nothing, and meets the same functions."""
    rig = one_bus()
    rig.sriov.disable()
    again = SriovScan(rig.access)
    assert [str(each.place) for each in again.run()] == [str(e.place) for e in rig.functions]
