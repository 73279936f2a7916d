"""Two hosts and one device: what each sees, what cannot meet, and who ends with a reset."""

import pytest

from tests.pci.rig import Rig
from virtlab.backends import Link
from virtlab.clock import Clock
from virtlab.devices.edu import BUFFER, EduFunction, EduRegisters
from virtlab.errors import DmaFault
from virtlab.guest.edu import EduDriver
from virtlab.guest.msi import MsiDriver
from virtlab.guest.pci import Place, capability_list, find, open_ecam
from virtlab.guest.pci_resources import enumerate_pci
from virtlab.guest.pci_sriov import SriovScan
from virtlab.guest.room import Room
from virtlab.guest.virtio_device import RING_FEATURES
from virtlab.guest.virtio_net import NET_FEATURES, NetDriver
from virtlab.guest.virtio_pci import ModernPci
from virtlab.interrupts import MESSAGE_BASE
from virtlab.pci.capabilities import Express
from virtlab.pci.config import Header, Type1
from virtlab.pci.express import RootPort, make_express
from virtlab.pci.mriov import MAX_HIERARCHIES, Labelled, MultiRootSwitch, SharedDevice
from virtlab.pci.tlp import Tlp
from virtlab.virtio.embedded_switch import EmbeddedSwitch
from virtlab.virtio.net import VirtioNet
from virtlab.virtio.pci import VirtioPci
from virtlab.virtio.sriov_net import PhysicalNet

EDU = (0x1234, 0x11E8)
ECAM = 0xB000_0000
BUFFER_AT, SIZE = 0x4000, 64
MACS = [bytes.fromhex(f"52540000000{number}") for number in range(3)]
A, B = 1, 2


class Host(Rig):
    """A machine with one root port, whose link leads to hierarchy `number` of `switch`."""

    def __init__(self, switch, number):
        super().__init__()
        self.port = self.bus.plug(RootPort(), 4)
        switch.connect(number, self.port.below)
        self.access = open_ecam(self.cpu, ECAM)

    def scan(self):
        """Find everything, from the beginning: in the order of the places."""
        self.functions = enumerate_pci(self.cpu, self.access)
        found = [each for top in self.functions for each in top.walk()]
        return sorted(found, key=lambda each: each.place)

    def card(self):
        """The shared device: its bus has the highest number."""
        return self.scan()[-1]

    def edu(self):
        return EduDriver(self.cpu, find(self.functions, *EDU).bar(0))


@pytest.fixture
def world():
    """Two hosts, and a device of two edus, of which each host has one."""
    return World()


class World:
    def __init__(self):
        self.switch = MultiRootSwitch()
        self.hosts = {number: Host(self.switch, number) for number in (A, B)}
        clock = Clock()
        for host in self.hosts.values():
            host.cpu.clock = clock
        self.edus = [make_express(EduFunction(clock, f"edu {number}")) for number in range(2)]
        self.device = SharedDevice(self.switch, self.edus)

    def start(self):
        for endpoint, number in enumerate((A, B)):
            self.device.assign(endpoint, number)
            self.hosts[number].scan()
        return self


# -- each sees a tree of its own


def test_two_enumerations_give_the_same_bus_numbers_and_addresses(world):
    world.start()
    one, other = ([(str(f.place), f.device) for f in world.hosts[n].scan()] for n in (A, B))
    assert one == other
    assert one[-1] == ("03:00.0", 0x11E8)
    assert world.hosts[A].card().bar(0) == world.hosts[B].card().bar(0)
    assert world.edus[0].source_id == world.edus[1].source_id == 0x0300


def test_configuration_space_is_one_for_each(world):
    world.start()
    place = Place(3, 0, 0)
    world.hosts[A].access.write(place, Header.INTERRUPT_LINE.offset, 1, 0x0A)
    world.hosts[B].access.write(place, Header.INTERRUPT_LINE.offset, 1, 0x0B)
    lines = [world.hosts[n].access.read(place, Header.INTERRUPT_LINE.offset, 1) for n in (A, B)]
    assert lines == [0x0A, 0x0B]


def test_a_driver_meets_its_own_function_at_the_same_address(world):
    world.start()
    drivers = [world.hosts[n].edu() for n in (A, B)]
    assert drivers[0].base == drivers[1].base
    assert [driver.factorial(n) for driver, n in zip(drivers, (5, 6), strict=True)] == [120, 720]


def test_a_transfer_lands_in_the_memory_of_its_own_host(world):
    """The same source id, the same address, two memories."""
    world.start()
    for number, text in ((A, b"from host A"), (B, b"from host B")):
        host = world.hosts[number]
        host.ram.write(BUFFER_AT, text)
        host.edu().to_device(BUFFER_AT, SIZE)
        host.ram.write(BUFFER_AT, bytes(SIZE))
    for number in (B, A):
        world.hosts[number].edu().from_device(BUFFER_AT, SIZE)
    assert world.hosts[A].ram.read(BUFFER_AT, 11) == b"from host A"
    assert world.hosts[B].ram.read(BUFFER_AT, 11) == b"from host B"


def test_an_interrupt_goes_to_the_root_of_its_hierarchy(world):
    world.start()
    for number, vector in ((A, 0x41), (B, 0x42)):
        MsiDriver(world.hosts[number].access, Place(3, 0, 0)).enable(MESSAGE_BASE, vector)
    world.hosts[B].edu().raise_interrupt()
    assert world.hosts[A].messages == []
    ((source, message),) = world.hosts[B].messages
    assert (source, message.data) == (0x0300, 0x42)


# -- the label


def test_without_the_label_two_requests_are_the_same_bytes(world):
    world.start()
    with world.switch.watching() as crossed:
        for edu in world.edus:
            edu.dma.write(BUFFER_AT, b"to the same address, 2 memories.")
    one, other = crossed
    assert (one.hierarchy, other.hierarchy) == (A, B)
    assert str(one) == "hierarchy 1: MWr32 03:00.0 -> 0x4000, 32 bytes, posted"
    assert one.tlp.header() == other.tlp.header()
    assert one.header() != other.header()
    assert len(one.header()) == len(one.tlp.header()) + 4
    for each in crossed:
        assert Labelled.decode(each.header()).hierarchy == each.hierarchy


def test_what_crosses_other_links_is_not_on_the_shared_one():
    switch = MultiRootSwitch(links=2)
    hosts = {number: Host(switch, number) for number in (A, B)}
    cards = [make_express(EduFunction(Clock(), f"edu {n}")) for n in range(2)]
    for link, card in enumerate(cards):
        SharedDevice(switch, [card], link).assign(0, A)
    hosts[A].scan()
    with switch.watching(0) as near, switch.watching(1) as far:
        cards[1].dma.write(BUFFER_AT, b"x" * 4)
    assert near == []
    assert [str(each.tlp) for each in far] == ["MWr32 04:00.0 -> 0x4000, 4 bytes, posted"]


def test_a_hierarchy_without_a_host_is_silent():
    switch = MultiRootSwitch(hosts=3)
    host = Host(switch, A)
    assert switch.hierarchies[A].root is host.root
    assert switch.hierarchies[3].root is None
    with switch.watching() as crossed:
        host.scan()
    assert {each.hierarchy for each in crossed} == {A}


@pytest.mark.parametrize("header", [Tlp("MWr", 0x300, address=0x4000, length=4).header(), b""])
def test_a_packet_without_a_label_is_refused(header):
    with pytest.raises(ValueError, match="labels no hierarchy"):
        Labelled.decode(header)


# -- a reset of one


def hot_reset(host):
    """Set Secondary Bus Reset of the root port, then clear it: all below is as at power-on."""
    control, bit = Type1.BRIDGE_CONTROL, Type1.BRIDGE_CONTROL.SECONDARY_BUS_RESET
    place = Place(0, 4, 0)
    host.access.write(place, control.offset, 2, bit.mask)
    host.access.write(place, control.offset, 2, 0)


def test_a_hot_reset_of_one_hierarchy_leaves_the_transfer_of_the_other_running(world):
    world.start()
    host, driver = world.hosts[B], world.hosts[B].edu()
    host.ram.write(BUFFER_AT, b"under way")
    driver.put(EduRegisters.DMA_SOURCE, BUFFER_AT)
    driver.put(EduRegisters.DMA_DESTINATION, BUFFER)
    driver.put(EduRegisters.DMA_COUNT, SIZE)
    driver.put(EduRegisters.DMA_COMMAND, 1)
    assert driver.get(EduRegisters.DMA_COMMAND) & 1, "it takes its time"
    hot_reset(world.hosts[A])
    host.cpu.clock.advance(1_000_000_000)
    assert not driver.get(EduRegisters.DMA_COMMAND) & 1
    host.ram.write(BUFFER_AT, bytes(SIZE))
    driver.from_device(BUFFER_AT, SIZE)
    assert host.ram.read(BUFFER_AT, 9) == b"under way"


def test_the_one_that_was_reset_is_as_at_power_on(world):
    """Its bridges too: nothing below them has a bus number until it is enumerated again."""
    world.start()
    host = world.hosts[A]
    hot_reset(host)
    assert host.access.read(Place(3, 0, 0), 0, 2) == 0xFFFF
    assert world.edus[0].header.COMMAND == 0
    with pytest.raises(DmaFault):
        world.edus[0].dma.write(BUFFER_AT, b"no")
    assert str(host.card().place) == "03:00.0"
    assert host.edu().factorial(4) == 24
    assert world.switch.hierarchies[A].slot(0).config.find(Express).SLOT_STATUS == 0x40


# -- who has what


def present(host):
    """What the slot of the downstream port says."""
    port = Place(2, 0, 0)
    at = dict(capability_list(host.access, port))[Express.id]
    word = host.access.read(port, at + Express.SLOT_STATUS.offset, 2)
    return bool(Express.SLOT_STATUS.PRESENCE_DETECT.get(word))


def test_a_function_moves_from_one_root_to_the_other(world):
    """The one host sees a card pulled out, the other one a card plugged in."""
    world.device.assign(0, A)
    one, other = world.hosts[A], world.hosts[B]
    assert (one.card().device, other.card().device) == (0x11E8, 0x8233)
    assert (present(one), present(other)) == (True, False)
    one.edu().put(EduRegisters.LIVENESS, 5)
    world.device.move(0, B)
    assert world.device.owners == [B, None]
    assert (present(one), present(other)) == (False, True)
    assert one.access.read(Place(3, 0, 0), 0, 2) == 0xFFFF
    assert (one.card().device, other.card().device) == (0x8233, 0x11E8)
    assert other.edu().get(EduRegisters.LIVENESS) == 0, "it forgets its first owner"
    other.ram.write(BUFFER_AT, b"mine now")
    other.edu().to_device(BUFFER_AT, SIZE)
    assert one.ram.read(BUFFER_AT, 8) == bytes(8)


def test_nobody_s_function_reaches_nothing(world):
    world.start()
    world.device.withdraw(0)
    with pytest.raises(DmaFault, match="is on no bus"):
        world.edus[0].dma.write(BUFFER_AT, b"no")
    assert world.device.owners == [None, B]


def test_a_batch_of_requests_looks_for_its_way_again(world):
    """The array that it had was the memory of its first host."""
    world.start()
    dma = world.edus[0].dma
    assert dma.one_array
    assert dma.bytes is world.hosts[A].ram.bytes
    world.device.withdraw(0)
    assert not dma.one_array
    world.device.withdraw(1)
    world.device.assign(0, B)
    world.hosts[B].scan()
    assert dma.one_array
    assert dma.bytes is world.hosts[B].ram.bytes


def test_an_interrupt_pin_is_let_go_when_the_card_is_pulled_out(world):
    world.start()
    world.hosts[A].edu().raise_interrupt()
    assert any(line.level for line in world.hosts[A].lines.values())
    world.device.withdraw(0)
    assert not any(line.level for line in world.hosts[A].lines.values())


def test_an_endpoint_has_one_owner_and_a_hierarchy_one_endpoint_at_a_link(world):
    world.device.assign(0, A)
    with pytest.raises(ValueError, match="belongs to hierarchy 1"):
        world.device.assign(0, B)
    with pytest.raises(ValueError, match="has an endpoint at this link"):
        world.device.assign(1, A)
    with pytest.raises(ValueError, match="belongs to no hierarchy"):
        world.device.withdraw(1)
    assert world.device.owners == [A, None]


def test_a_move_that_cannot_be_leaves_the_endpoint_where_it_is(world):
    world.start()
    with pytest.raises(ValueError, match="hierarchy 2 has an endpoint"):
        world.device.move(0, B)
    with pytest.raises(ValueError, match="no hierarchy 3"):
        world.device.move(0, 3)
    assert world.device.owners == [A, B]
    assert world.hosts[A].edu().detect()


def test_a_hierarchy_may_have_its_card_before_its_host(world):
    """A host that comes later finds what was plugged in, and not what was pulled out."""
    switch = MultiRootSwitch()
    device = SharedDevice(switch, world.edus)
    device.assign(0, A)
    device.assign(1, B)
    device.withdraw(1)
    late = {number: Host(switch, number) for number in (A, B)}
    assert (late[A].card().device, late[B].card().device) == (0x11E8, 0x8233)


@pytest.mark.parametrize("count", [0, MAX_HIERARCHIES + 1])
def test_a_switch_has_so_many_hierarchies(count):
    with pytest.raises(ValueError, match="1 to 16 hierarchies"):
        MultiRootSwitch(count)


# -- a card that is really shared


def test_two_hosts_talk_through_one_card():
    """One embedded switch and one wire; a network function for each hierarchy."""
    switch, cable = MultiRootSwitch(), Link("wire")
    shared = EmbeddedSwitch(cable.a, MACS)
    functions = [
        make_express(VirtioPci(VirtioNet(shared.ends[n], MACS[n]), name=f"net {n}")) for n in (1, 2)
    ]
    device = SharedDevice(switch, functions)
    nets = []
    for endpoint, number in enumerate((A, B)):
        host = Host(switch, number)
        device.assign(endpoint, number)
        room = Room(0x1_0000, 0x8_0000)
        transport = ModernPci(host.cpu, host.access, host.card())
        understood = RING_FEATURES | NET_FEATURES
        net = NetDriver(host.cpu, transport, room, understood=understood, slots=8, size=16)
        net.start()
        nets.append(net)
    hello = MACS[2] + MACS[1] + b"\x88\xb5" + bytes(46)
    nets[0].send(hello)
    assert [each.frame for each in nets[1].receive()] == [hello]
    assert nets[0].receive() == []


def test_an_endpoint_may_have_virtual_functions_and_they_go_with_it():
    """Each host has its own physical function, at the same place, and makes its own VFs."""
    switch = MultiRootSwitch()
    hosts = {number: Host(switch, number) for number in (A, B)}
    card = PhysicalNet(Link("wire").a, 3, MACS[0])
    device = SharedDevice(switch, [card])
    places = {}
    for number in (A, B):
        device.assign(0, number) if number == A else device.move(0, number)
        scan = SriovScan(hosts[number].access)
        enumerate_pci(hosts[number].cpu, hosts[number].access, scan=scan)
        places[number] = [str(vf.place) for vf in scan.physical[0].enable(2)]
        assert len(card.bus.virtual) == 2
    assert places[A] == places[B] == ["03:00.1", "03:00.2"]
    assert hosts[A].access.read(Place(3, 0, 1), 0, 4) == 0xFFFF_FFFF
    device.withdraw(0)
    assert all(each.bus is None for each in (card, *card.virtual))
