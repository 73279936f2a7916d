"""Routing ids of virtual functions: arithmetic that no two of them share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pci.rig import Card
from virtlab.pci.ari import add_ari, link_ari
from virtlab.pci.config import EXTENDED
from virtlab.pci.express import RootPort
from virtlab.pci.extended import Ari
from virtlab.pci.function import Function, Identity
from virtlab.pci.routing_ids import BUS, FUNCTIONS, Placement, Spread, distance


def test_the_82576_of_intel():
    """Its datasheet: offset 128, stride 2 with ARI; 384 and 2 without."""
    with_ari, without = Placement(128, 2), Placement(384, 2)
    assert [with_ari.routing_id(0x0100, n) for n in (0, 1, 7)] == [0x180, 0x182, 0x18E]
    assert without.routing_id(0x0100, 0) == 0x280
    assert without.last_bus(0x0100, 8) == 2
    assert with_ari.last_bus(0x0100, 8) == 1


def test_a_routing_id_has_16_bits():
    """SR-IOV 1.1, 2.1.2: modulo 2 to the 16."""
    assert Placement(256, 1).routing_id(0xFF00, 0) == 0
    assert distance(0xFF, 0x0003) == 0x103


def test_without_vfs_there_is_one_bus():
    assert Placement(256, 1).last_bus(0x0300, 0) == 3


@given(st.integers(1, 8), st.data())
def test_no_two_functions_of_a_device_share_an_id(physical, data):
    """However many VFs each has, and whether ARI was on or off when each was enabled."""
    spread, taken = Spread(physical), list(range(physical))
    for number in range(physical):
        ari = data.draw(st.booleans())
        count = data.draw(st.integers(1, 300))
        placement = spread.place(count, ari)
        assert placement.offset > 0
        assert placement.stride > 0
        taken += [placement.routing_id(number, index) for index in range(count)]
        last = number + placement.offset + (count - 1) * placement.stride
        assert placement.last_bus(number, count) == last // BUS
    assert len(set(taken)) == len(taken)


@given(st.integers(1, 8), st.integers(1, 300))
def test_without_ari_every_vf_can_be_reached(physical, count):
    """On the captured bus number only device 0, that is 8 functions; on the next all 256."""
    placement = Spread(physical).place(count, ari=False)
    ids = [placement.routing_id(n, i) for n in range(physical) for i in range(count)]
    assert all(each < FUNCTIONS or each >= BUS for each in ids)


# -- ARI


def plain(name, number):
    made = Function(Identity(0x1AF4, number, 0xFF0000), name=name, express=True)
    add_ari(made, EXTENDED)
    return made


def test_functions_name_the_next_one():
    """PCI Express 3.0, 7.23.2: the list ends with 0."""
    port = RootPort()
    ours = [port.below.plug(plain(f"{n}", n), 0, n) for n in (0, 1, 2)]
    link_ari(reversed(ours))
    following = [Ari.CAPABILITY.NEXT_FUNCTION.get(f.config.find(Ari).CAPABILITY) for f in ours]
    assert following == [1, 2, 0]
    ours[0].reset()
    assert ours[0].config.find(Ari).CAPABILITY == 0x0100


def test_all_of_them_need_the_capability():
    with pytest.raises(ValueError, match="has no ARI capability"):
        link_ari([Card("card", 1)])
