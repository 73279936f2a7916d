"""ACS: what a switch lets peers do to each other, and the groups that follow from it."""

import pytest

from tests.pci.rig import Card, Rig
from tests.pci.sriov_rig import SriovRig
from virtlab.errors import DmaFault
from virtlab.guest.pci import Place, open_ecam
from virtlab.guest.pci_acs import enable_acs, enable_acs_everywhere
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pci_sriov import SriovScan
from virtlab.pci.acs import REQUIRED, enforces, groups, is_multifunction, isolates
from virtlab.pci.express import ACS_AT, RootPort, make_express
from virtlab.pci.extended import Acs

ECAM = 0xB000_0000
SV, RR = Acs.CONTROL.SOURCE_VALIDATION.mask, Acs.CONTROL.P2P_REQUEST_REDIRECT.mask
UF = Acs.CONTROL.UPSTREAM_FORWARDING.mask


class Nothing:
    """What an IOMMU leaves of memory for a source id without an entry."""

    def write(self, iova, data):
        raise DmaFault("no entry for this source", iova, len(data))


@pytest.fixture
def rig():
    made = Rig().plug_everything()
    made.access = open_ecam(made.cpu, ECAM)
    made.functions = enumerate_pci(made.cpu, made.access)
    made.target = made.right.address(made.right.bars[0])
    return made


def control(port, bits):
    port.config.write(ACS_AT + Acs.CONTROL.offset, 2, bits)


# -- peer to peer


def test_without_acs_a_card_reaches_its_neighbour(rig):
    """The leak: the request never comes to the root, so no IOMMU sees it."""
    asked = []
    rig.root.memory = lambda source: asked.append(source) or rig.ram
    rig.left.dma.write(rig.target, b"leak")
    assert rig.right.scratch.FIRST == int.from_bytes(b"leak", "little")
    assert asked == []


def test_with_acs_the_request_comes_to_the_root(rig):
    """6.12.1.1: P2P Request Redirect; there the IOMMU decides."""
    assert enable_acs_everywhere(rig.access, rig.functions)
    asked = []
    rig.root.memory = lambda source: asked.append(source) or Nothing()
    with pytest.raises(DmaFault, match="no entry"):
        rig.left.dma.write(rig.target, b"leak")
    assert asked == [rig.left.source_id]
    assert rig.right.scratch.FIRST == 0


def test_a_source_id_that_is_not_below_the_port_is_blocked(rig):
    """6.12.1.1: ACS Source Validation checks the bus number."""
    link, port = rig.left.bus, rig.switch.downstream[0]
    other = rig.right.source_id
    assert not link.route_up(rig.left, 0x1000, 4, other).refusal
    control(port, SV)
    assert "ACS violation" in link.route_up(rig.left, 0x1000, 4, other).refusal
    assert not link.route_up(rig.left, 0x1000, 4, rig.left.source_id).refusal


def test_a_vf_on_a_bus_that_nobody_gave_it_is_blocked():
    """Its requests carry an id that may be another device's: Source Validation notices."""
    rig = SriovRig(total=20).start(ari=False)
    found = rig.sriov.enable(20)
    rig.access.write(found[0].place, 4, 2, 4)
    rig.access.write(Place(0, 3, 0), 0x1A, 1, 1)
    assert rig.vf[0].dma.one_array
    rig.vf[0].dma.write(0x1000, b"out")
    control(rig.port, SV)
    with pytest.raises(DmaFault, match="ACS violation"):
        rig.vf[0].dma.write(0x1000, b"out")
    assert not rig.vf[0].dma.one_array


def test_a_request_to_where_it_came_from(rig):
    """6.12.1.1: with Upstream Forwarding it goes to the root, and is no peer's after that."""
    port = rig.ports_[1]
    (window,) = [w for w in port.windows if w.name == "memory"]
    with pytest.raises(DmaFault, match="in its own window"):
        rig.end.dma.write(window.base, b"me")
    control(port, UF)
    with pytest.raises(DmaFault, match="no memory there"):
        rig.end.dma.write(window.base, b"me")
    route = rig.end.bus.route_up(rig.end, window.base, 4, rig.end.source_id)
    assert (route.target, route.refusal, len(route.buses)) == (None, "", 2)


def test_after_a_reset_acs_is_off(rig):
    assert enable_acs(rig.access, Place(0, 3, 0))
    port = rig.ports_[0]
    assert (port.redirects, port.returns) == (True, True)
    port.reset()
    assert (port.redirects, port.returns) == (False, False)
    assert port.admits(0xFFFF)


def test_only_ports_have_it(rig):
    places = enable_acs_everywhere(rig.access, rig.functions)
    ports = [*rig.ports_, *rig.switch.downstream]
    assert sorted(map(str, places)) == sorted(str(port).split()[0] for port in ports)
    assert not enable_acs(rig.access, Place(0, 0x1F, 0))


# -- groups


def named(found):
    return [sorted(each.name for each in group) for group in found]


def test_without_acs_all_behind_a_root_port_s_device_is_one_group(rig):
    """The three root ports are functions of one device, without ACS: one group with all below."""
    found = named(groups(rig.bus))
    together = next(group for group in found if "left" in group)
    assert {"left", "right", "end", "old", "deepest", "switch, upstream"} <= set(together)
    assert ["integrated"] in found
    assert sum(map(len, found)) == len(list(rig.bus.walk()))


def test_with_acs_each_card_is_alone(rig):
    enable_acs_everywhere(rig.access, rig.functions)
    found = named(groups(rig.bus))
    for alone in ("left", "right", "end", "switch, upstream", "switch, port 0", "root port 0"):
        assert [alone] in found
    # Behind a bridge to conventional PCI nobody has a source id of its own.
    assert ["PCI-PCI bridge", "PCIe-PCI bridge", "deepest", "old"] in found


def test_one_port_without_acs_joins_what_is_below_it(rig):
    enable_acs_everywhere(rig.access, rig.functions)
    control(rig.switch.downstream[1], 0)
    found = named(groups(rig.bus))
    assert ["right", "switch, port 1"] in found
    assert ["left"] in found


@pytest.mark.parametrize("bit", [SV, RR, UF, Acs.CONTROL.P2P_COMPLETION_REDIRECT.mask])
def test_each_of_the_four_controls_counts(rig, bit):
    """As in Linux: REQ_ACS_FLAGS."""
    enable_acs_everywhere(rig.access, rig.functions)
    control(rig.switch.downstream[0], REQUIRED & ~bit)
    assert ["left", "switch, port 0"] in named(groups(rig.bus))


def test_a_control_that_is_not_offered_holds_always(rig):
    """6.12.1: only what can be switched must be switched on."""
    port = rig.ports_[1]
    acs = port.config.find(Acs)
    acs.preset(CAPABILITY=0)
    assert enforces(port)
    assert isolates(port)
    assert not isolates(rig.ports_[0])
    assert not enforces(rig.end)


def test_an_integrated_function_and_an_express_endpoint_of_one_function(rig):
    assert not isolates(rig.integrated)
    assert isolates(rig.end)
    assert not is_multifunction(Card("not plugged in", 1))


def test_functions_of_one_device_are_one_group_unless_acs_says_otherwise():
    rig = Rig()
    port = rig.bus.plug(RootPort(), 3)
    control(port, REQUIRED)
    for number in range(3):
        port.below.plug(make_express(Card(f"card {number}", number)), 0, number)
    assert ["card 0", "card 1", "card 2"] in named(groups(rig.bus))


def test_vfs_are_no_functions_of_the_device_they_are_in():
    """Two PFs without ACS of their own are one group; their VFs are none of it (`pci/iov.c`)."""
    rig = SriovRig(total=6, physical=2).start()
    rig.drivers[0].enable(6)
    rig.drivers[1].enable(6)
    enable_acs_everywhere(rig.access, rig.functions)
    found = named(groups(rig.bus))
    assert ["pf 0", "pf 1"] in found
    for number in range(2):
        assert all([f"vf {number}.{n}"] in found for n in range(6))


def test_a_part_of_the_buses_can_be_looked_at_alone(rig):
    """Bridges above it count, and are in no group."""
    below = named(groups(rig.switch.upstream.below))
    assert below == [["left", "switch, port 0"], ["right", "switch, port 1"]]
    assert named(groups(rig.deep.below)) == [["deepest"]]


def test_each_vf_is_alone_behind_ports_with_acs():
    """So that each can be another guest's."""
    rig = SriovRig(total=3)
    rig.access = open_ecam(rig.cpu, ECAM)
    scan = SriovScan(rig.access)
    functions = enumerate_pci(rig.cpu, rig.access, scan=scan)
    scan.physical[0].enable(3)
    all_in_one = next(group for group in named(groups(rig.bus)) if "vf 0.0" in group)
    assert all_in_one == ["pf 0", "root port", "vf 0.0", "vf 0.1", "vf 0.2"]
    enable_acs_everywhere(rig.access, functions)
    found = named(groups(rig.bus))
    for alone in ("pf 0", "vf 0.0", "vf 0.1", "vf 0.2", "neighbour"):
        assert [alone] in found
