"""The switch inside a card: where each frame goes, one at a time and in batches."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.virtio.sriov_net_rig import BROADCAST, FAR, frame, mac
from virtlab.backends import Link
from virtlab.backends.frames import Frames
from virtlab.virtio.embedded_switch import PHYSICAL, WIRE, EmbeddedSwitch

VLANS = (0, 5, 5, 6)
"""Of the physical function, which has none, and of three VFs."""


class Outside:
    """A switch with four ports; `heard` has what came out of each, and of the wire."""

    def __init__(self, vlans=VLANS, spoof_check=True, present=(1, 2, 3)):
        self.cable = Link("wire")
        self.switch = EmbeddedSwitch(self.cable.a, [mac(n) for n in range(len(vlans))])
        self.heard = {number: [] for number in range(WIRE, len(vlans))}
        self.cable.b.listener = self.heard[WIRE].append
        for number, vlan in enumerate(vlans):
            port = self.switch.ports[number]
            self.switch.ends[number].listener = self.heard[number].append
            if number:
                port.vlan, port.spoof_check = vlan, spoof_check
                port.present = lambda number=number: number in present

    def send(self, sender, *frames):
        """One by one."""
        end = self.cable.b if sender == WIRE else self.switch.ends[sender]
        for each in frames:
            end.send(each)
        return self

    def send_many(self, sender, *frames):
        """As a batch."""
        end = self.cable.b if sender == WIRE else self.switch.ends[sender]
        end.send_many(Frames.of(frames))
        return self

    def got(self):
        return {number: frames for number, frames in self.heard.items() if frames}


def test_where_an_address_is():
    """A table of every kind of receiver, for each kind of sender."""
    switch = Outside().switch
    assert switch.where(1, mac(2), 5) == [2]
    assert switch.where(1, mac(3), 5) == [WIRE]
    assert switch.where(1, mac(1), 5) == []
    assert switch.where(1, mac(0), 5) == [PHYSICAL]
    assert switch.where(1, FAR, 5) == [WIRE]
    assert switch.where(PHYSICAL, FAR, 0) == [WIRE]
    assert switch.where(PHYSICAL, mac(3), 6) == [3]
    assert switch.where(WIRE, FAR, 0) == [PHYSICAL]
    assert switch.where(WIRE, mac(2), 5) == [2]
    assert switch.where(1, BROADCAST, 5) == [WIRE, PHYSICAL, 2]
    assert switch.where(WIRE, BROADCAST, 6) == [PHYSICAL, 3]


def test_who_is_not_there_has_no_address():
    assert Outside(present=(1,)).switch.where(1, mac(2), 5) == [WIRE]


def test_between_functions_there_is_no_tag_and_on_the_wire_there_is_one():
    world = Outside().send(1, frame(BROADCAST, mac(1)))
    tagged = frame(BROADCAST, mac(1))
    tagged = tagged[:12] + bytes.fromhex("81000005") + tagged[12:]
    assert world.got() == {WIRE: [tagged], PHYSICAL: [tagged], 2: [frame(BROADCAST, mac(1))]}


def test_half_a_tag_is_no_frame_for_anybody():
    """14 bytes that end with a tag's first two: a VF would see a tag."""
    world = Outside(vlans=(0, 0)).send(WIRE, BROADCAST + FAR + b"\x81\x00")
    assert world.got() == {}
    assert world.switch.malformed == 1


def test_a_priority_tag_is_the_untagged_network():
    """802.1Q 6.9: VLAN 0 is none."""
    world = Outside(vlans=(0, 0)).send(WIRE, frame(mac(1), FAR, tag=0x2000))
    assert world.got() == {1: [frame(mac(1), FAR)[:56]]}


def test_counts():
    world = Outside()
    world.send(1, frame(mac(2), mac(1)), frame(mac(2), FAR), frame(mac(2), mac(1), tag=7))
    one, two = world.switch.ports[1:3]
    assert one.counts == {"sent": 1, "dropped: not its address": 1, "dropped: tagged": 1}
    assert two.counts == {"received": 1}


def test_who_has_an_address_already():
    switch = Outside().switch
    assert switch.taken(mac(2), 5, but=1)
    assert not switch.taken(mac(2), 5, but=2)
    assert not switch.taken(mac(2), 6, but=1)


ADDRESSES = [*(mac(n) for n in range(4)), FAR, BROADCAST, bytes.fromhex("01005e000001")]
frames_ = st.builds(
    frame,
    st.sampled_from(ADDRESSES),
    st.sampled_from(ADDRESSES[:5]),
    st.binary(min_size=1, max_size=4),
    st.sampled_from([None, None, None, 0, 5, 6, 0x6005, 0xFFF]),
) | st.sampled_from([BROADCAST + FAR + b"\x81\x00", mac(1) + FAR + b"\x08\x00"])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([WIRE, 0, 1, 2, 3]),
    st.lists(frames_, max_size=12),
    st.booleans(),
    st.sets(st.integers(1, 3)),
)
def test_many_are_what_one_by_one_are(sender, frames, check, present):
    """The same frames at each port in the same order, and the same counts."""
    one, many = (Outside(spoof_check=check, present=present) for _ in range(2))
    one.send(sender, *frames)
    many.send_many(sender, *frames)
    assert many.got() == one.got()
    assert [port.counts for port in many.switch.ports] == [p.counts for p in one.switch.ports]
    assert many.switch.malformed == one.switch.malformed


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3), st.lists(frames_, max_size=12))
def test_no_vf_hears_another_vlan_or_speaks_under_another_address(sender, frames):
    """Isolation: whatever a guest sends."""
    world = Outside().send(sender, *frames)
    for number, heard in world.got().items():
        for each in heard:
            assert each[6:12] == mac(sender)
            assert number != sender
            if number > PHYSICAL:
                assert VLANS[number] == VLANS[sender]
                assert each in frames
            else:
                assert each[12:16] == b"\x81\x00" + VLANS[sender].to_bytes(2, "big")


@pytest.mark.parametrize("to", [mac(1), BROADCAST])
def test_what_comes_from_the_wire_does_not_go_back(to):
    assert WIRE not in Outside().send(WIRE, frame(to, FAR, tag=5)).got()
