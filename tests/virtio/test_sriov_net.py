"""A network card with virtual functions: guests' ordinary drivers, an embedded switch, a form."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.virtio.sriov_net_rig import BROADCAST, FAR, NetRig, frame, mac
from virtlab.backends import Link
from virtlab.errors import DmaFault
from virtlab.guest.pci import Place
from virtlab.guest.pci_express import reset_function
from virtlab.guest.pci_sriov import exists
from virtlab.guest.sriov_net import PortRefused, PortSettings, may_enable
from virtlab.guest.virtio_transport import VirtioFailed
from virtlab.pci.extended import SrIov
from virtlab.virtio.embedded_switch import WIRE
from virtlab.virtio.features import Feature
from virtlab.virtio.net_layouts import NetFeature
from virtlab.virtio.sriov_net import CONTROL_BAR, Answer, PhysicalNet, PortControl
from virtlab.virtio.status import Status
from virtlab.wire import all_ones


class Nothing:
    """What an IOMMU leaves of memory for a source id without an entry."""

    def read(self, iova, length):
        raise DmaFault("nothing is mapped", iova, length)

    write = view = read


@pytest.fixture
def rig():
    return NetRig(total=3).start()


# -- virtio 1.3 6


def test_the_physical_function_offers_sr_iov_and_no_vf_does(rig):
    """6.2: a device SHOULD offer it if it has the capability, otherwise it MUST NOT."""
    assert Feature.SR_IOV in rig.nets[0].virtio.offered
    for number in (1, 2, 3):
        assert Feature.SR_IOV not in rig.nets[number].virtio.offered
        assert rig.card.virtual[number - 1].config.find(SrIov) is None


def test_it_is_negotiated_before_vfs_are_made():
    """6.1: the driver MUST negotiate it and complete the negotiation first."""
    rig = NetRig(total=1)
    net = rig.driver(0, rig.physical)
    assert may_enable(net.virtio)
    net.virtio.reset()
    assert not may_enable(net.virtio)


def test_each_vf_is_a_virtio_device_of_its_own(rig):
    for number in (1, 2, 3):
        assert rig.nets[number].virtio.transport.device_id == 1
        assert rig.nets[number].address == mac(number)
        assert NetFeature.CTRL_MAC_ADDR not in rig.nets[number].virtio.features
    rig.nets[1].virtio.reset()
    assert rig.nets[2].virtio.transport.status() & Status.DRIVER_OK


def test_its_places_in_configuration_space(rig):
    assert [str(vf.place) for vf in rig.virtual] == ["01:00.1", "01:00.2", "01:00.3"]
    assert {vf.device for vf in rig.virtual} == {0x1041}
    assert rig.virtual[0].bar(4) + 0x4000 == rig.virtual[1].bar(4)


# -- frames between functions


def test_from_one_guest_to_another(rig):
    """Nobody else sees it, and nobody else takes part."""
    hello = frame(mac(2), mac(1))
    rig.nets[1].send(hello)
    assert rig.receive() == {2: [hello]}
    assert rig.heard == []


def test_to_the_wire_and_back(rig):
    rig.nets[1].send(frame(FAR, mac(1)))
    assert rig.heard == [frame(FAR, mac(1))]
    rig.cable.b.send(frame(mac(3), FAR))
    assert rig.receive() == {3: [frame(mac(3), FAR)]}


def test_a_broadcast_reaches_all_but_its_sender(rig):
    call = frame(BROADCAST, mac(2))
    rig.nets[2].send(call)
    assert rig.receive() == {0: [call], 1: [call], 3: [call]}
    assert rig.heard == [call]


def test_the_physical_function_takes_part(rig):
    rig.nets[0].send(frame(mac(3), mac(0)))
    rig.nets[3].send(frame(mac(0), mac(3)))
    assert rig.receive() == {0: [frame(mac(0), mac(3))], 3: [frame(mac(3), mac(0))]}


def test_requests_of_each_queue_carry_the_function_s_id(rig):
    """What VT-d isolates by: rings and buffers of VF 2 are read by VF 2 alone."""
    asked = set()
    memory = rig.root.memory
    rig.root.memory = lambda source: asked.add(source) or memory(source)
    rig.nets[2].send(frame(FAR, mac(2)))
    assert asked == {0x0102}


def test_a_vf_whose_memory_is_taken_away_harms_nobody(rig):
    """A `DmaFault` is that VF's own trouble: it needs a reset."""
    rig.root.memory = lambda source: Nothing() if source == 0x0101 else rig.ram
    with pytest.raises(VirtioFailed):
        rig.nets[1].send(frame(mac(2), mac(1)))
    assert rig.card.virtual[0].core.status & Status.DEVICE_NEEDS_RESET
    rig.nets[3].send(frame(mac(2), mac(3)))
    del rig.nets[1]
    assert rig.receive() == {2: [frame(mac(2), mac(3))]}


# -- what the host decides


def test_a_frame_under_another_s_address_is_dropped(rig):
    rig.nets[1].send(frame(mac(2), mac(3)))
    assert rig.receive() == {}
    settings, counts = rig.form.load(1)
    assert counts == (0, 0, 1)
    rig.form.apply(1, settings._replace(spoof_check=False))
    rig.nets[1].send(frame(mac(2), mac(3)))
    assert rig.receive() == {2: [frame(mac(2), mac(3))]}
    assert rig.form.load(1)[1] == (1, 0, 1)
    assert rig.form.load(2)[1].received == 1


def test_another_address(rig):
    """The guest is told: its configuration changes, and a reset keeps it."""
    new = bytes.fromhex("0211223344aa")
    rig.form.apply(2, PortSettings(new))
    assert rig.nets[2].refresh() is not None
    assert rig.nets[2].address == new
    rig.nets[1].send(frame(new, mac(1)))
    rig.nets[2].send(frame(mac(1), new))
    assert set(rig.receive()) == {1, 2}
    rig.nets[2].start()
    assert rig.nets[2].address == new
    assert rig.form.load(2)[0].mac == new


def test_two_vlans_do_not_hear_each_other(rig):
    for number, vlan in ((1, 5), (2, 5), (3, 6)):
        rig.form.apply(number, PortSettings(mac(number), vlan))
    rig.nets[1].send(frame(BROADCAST, mac(1)), frame(mac(3), mac(1)), frame(mac(2), mac(1)))
    received = rig.receive()
    assert received == {2: [frame(BROADCAST, mac(1)), frame(mac(2), mac(1))]}
    assert [each[12:16] for each in rig.heard] == [b"\x81\x00\x00\x05"] * 2
    assert len(rig.heard[0]) == 64


def test_a_tag_from_the_wire_chooses_the_vlan_and_is_taken_off(rig):
    rig.form.apply(1, PortSettings(mac(1), 5))
    rig.cable.b.send(frame(mac(1), FAR, tag=5))
    rig.cable.b.send(frame(mac(1), FAR, tag=6))
    rig.cable.b.send(frame(mac(1), FAR))
    got = rig.receive()
    assert list(got) == [1]
    assert got[1] == [frame(mac(1), FAR)[:56]]


def test_a_guest_cannot_choose_its_vlan(rig):
    rig.form.apply(2, PortSettings(mac(2), 5))
    rig.nets[1].send(frame(mac(2), mac(1), tag=5))
    assert rig.receive() == {}
    assert rig.card.switch.ports[1].counts["dropped: tagged"] == 1


def test_a_cable_that_is_pulled(rig):
    rig.form.apply(3, PortSettings(mac(3), link=False))
    rig.nets[3].refresh()
    assert not rig.nets[3].link
    rig.nets[1].send(frame(mac(3), mac(1)))
    rig.nets[3].send(frame(mac(1), mac(3)))
    assert rig.receive() == {}
    assert not rig.form.load(3)[0].link
    rig.form.apply(3, PortSettings(mac(3)))
    rig.nets[1].send(frame(mac(3), mac(1)))
    assert rig.receive() == {3: [frame(mac(3), mac(1))]}


@pytest.mark.parametrize(
    ("number", "settings", "answer"),
    [
        (0, PortSettings(mac(0)), Answer.NO_PORT),
        (4, PortSettings(mac(4)), Answer.NO_PORT),
        (1, PortSettings(bytes(6)), Answer.BAD_ADDRESS),
        (1, PortSettings(mac(2)), Answer.BAD_ADDRESS),
        (1, PortSettings(mac(1), 4095), Answer.BAD_VLAN),
    ],
)
def test_what_the_form_refuses_changes_nothing(rig, number, settings, answer):
    before = [(port.mac, port.vlan) for port in rig.card.switch.ports]
    with pytest.raises(PortRefused) as caught:
        rig.form.apply(number, settings)
    assert caught.value.answer == answer
    assert [(port.mac, port.vlan) for port in rig.card.switch.ports] == before


def test_a_group_s_address_in_the_form_is_refused_by_the_card_too(rig):
    control = rig.card.control
    control.write(PortControl.PORT.offset, 4, 1)
    control.write(PortControl.MAC_LOW.offset, 4, 0x01)
    control.write(PortControl.COMMAND.offset, 4, 2)
    assert control.ANSWER == Answer.BAD_ADDRESS
    control.write(PortControl.COMMAND.offset, 4, 3)
    assert control.ANSWER == Answer.NO_COMMAND


@pytest.mark.parametrize("settings", [PortSettings(b"\x01" * 6), PortSettings(mac(1), 0x1000)])
def test_what_the_driver_does_not_even_ask(rig, settings):
    with pytest.raises(ValueError, match=r"station's address|12 bits"):
        rig.form.apply(1, settings)


def test_two_vlans_may_have_one_address(rig):
    rig.form.apply(1, PortSettings(mac(1), 5))
    rig.form.apply(2, PortSettings(mac(1), 6))
    with pytest.raises(PortRefused, match="VF 2: BAD_ADDRESS"):
        rig.form.apply(2, PortSettings(mac(1), 5))


def test_a_vf_has_no_form(rig):
    """The bar is the physical function's own: a guest that has a VF cannot reach it."""
    assert CONTROL_BAR not in {bar.index for bar in rig.virtual[0].bars}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 4, 8, 0xA, 0xC, 0x10, 0x10, 0x10]) | st.integers(0, 0xFFF),
            st.sampled_from([1, 2, 4, 8]),
            st.sampled_from([0, 1, 2, 3, 4, all_ones(4)]) | st.integers(0, all_ones(8)),
        ),
        max_size=30,
    )
)
def test_whatever_is_written_into_the_form(writes):
    """Nothing raises; each port has an address of its own, and a VLAN that there is."""
    card = PhysicalNet(Link("wire").a, 3, mac(0))
    for at, size, value in writes:
        bar = next(each for each in card.bars if each.register == "BAR2")
        bar.write(at, size, value & all_ones(size))
        assert 0 <= bar.read(at, size) <= all_ones(size)
        ports = card.switch.ports
        assert len({(port.mac, port.vlan) for port in ports}) == 4
        assert all(port.vlan <= 4094 and not port.mac[0] & 1 for port in ports)
        assert ports[0].mac == mac(0)
        assert [device.mac for device in card.devices] == [port.mac for port in ports]


# -- life and death


def test_an_absent_vf_gets_nothing_and_its_address_goes_to_the_wire():
    rig = NetRig(total=3).start(count=1)
    rig.nets[1].send(frame(mac(2), mac(1)), frame(BROADCAST, mac(1)))
    assert rig.heard == [frame(mac(2), mac(1)), frame(BROADCAST, mac(1))]
    assert rig.card.switch.ports[2].counts["received"] == 0


def test_vfs_that_vanish_under_their_drivers(rig):
    rig.sriov.disable()
    assert not exists(rig.access, Place(1, 0, 1))
    assert rig.cpu.load(rig.virtual[0].bar(4)) == all_ones(4)
    rig.cable.b.send(frame(mac(1), FAR))
    rig.cable.b.send(frame(BROADCAST, FAR))
    assert [each.frame for each in rig.nets[0].receive()] == [frame(BROADCAST, FAR)]
    again = rig.sriov.enable(3)
    assert rig.card.virtual[0].core.status == 0
    assert [vf.place for vf in again] == [vf.place for vf in rig.virtual]


def test_flr_of_a_vf_leaves_the_others_at_work(rig):
    rig.form.apply(1, PortSettings(bytes.fromhex("020000000007")))
    reset_function(rig.access, rig.virtual[0].place)
    assert rig.card.virtual[0].core.status == 0
    rig.nets[2].send(frame(mac(3), mac(2)))
    assert [each.frame for each in rig.nets[3].receive()] == [frame(mac(3), mac(2))]
    assert rig.form.load(1)[0].mac == bytes.fromhex("020000000007")


def test_flr_of_the_physical_function_undoes_all(rig):
    """SR-IOV 1.1, 2.2.2.2: and what its driver had set is as at first."""
    rig.form.apply(1, PortSettings(bytes.fromhex("020000000007"), 9, spoof_check=False, link=False))
    reset_function(rig.access, rig.physical.place)
    assert not rig.sriov.enabled
    port = rig.card.switch.ports[1]
    assert (port.mac, port.vlan, port.spoof_check) == (mac(1), 0, True)
    assert rig.card.switch.links[1].up
    assert rig.card.devices[1].mac == mac(1)
    assert not rig.card.switch.ports[0].spoof_check
    assert rig.card.control.PORT == 0


def test_the_pf_s_driver_may_take_another_address(rig):
    new = bytes.fromhex("0200000000ff")
    rig.nets[0].set_mac(new)
    rig.nets[1].send(frame(new, mac(1)))
    assert [each.frame for each in rig.nets[0].receive()] == [frame(new, mac(1))]
    assert rig.card.switch.where(WIRE, new, 0) == [0]


def test_a_card_without_a_trace_and_with_a_name():
    card = PhysicalNet(NetRig().cable.b, 2, mac(9), name="eth")
    assert [each.name for each in card.virtual] == ["eth, VF 1", "eth, VF 2"]
    assert card.switch.ports[2].mac == mac(11)
