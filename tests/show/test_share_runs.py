"""The same work on the real models: it costs what the closed forms say, to the last exit."""

import pytest

from virtlab.show import share_runs
from virtlab.show.share_assigned import DirectHost, sriov, vtd
from virtlab.show.share_forms import Counts, closed_form
from virtlab.show.share_load import CARDS, WAYS, Load
from virtlab.show.share_mediated import virtio
from virtlab.show.share_runs import MEASURED, count, measure, run

FEW = {"frames": 3, "batch": 2}


@pytest.mark.parametrize("vms", MEASURED)
@pytest.mark.parametrize("way", WAYS)
def test_measured_is_predicted(way, vms):
    load = Load(vms, **FEW)
    assert measure(way, load) == closed_form(way, load)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "load",
    [
        Load(1, asleep=False, **FEW),
        Load(1, frames=9, batch=4, size=60),
        Load(1, frames=32, batch=32),
    ],
)
def test_so_it_is_with_other_loads(way, load):
    assert run(way, load) == closed_form(way, load)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "load", [Load(8, 20, 60, 5), Load(7, 8, 1514, 1), Load(8, 64, 800, 32, asleep=False)]
)
def test_and_with_more_vms_and_more_frames(way, load):
    assert run(way, load) == closed_form(way, load)


@pytest.mark.parametrize("world", [vtd, sriov])
def test_a_guest_with_a_function_of_its_own_never_exits(world):
    """The VMM's own counters stand still while frames go and come."""
    load = Load(2, frames=16, batch=8, asleep=False)
    made = world(load)
    before = [dict(station.vm.vmm.exits) for station in made.stations]
    assert count("SR-IOV", made, load) == Counts()
    assert [dict(station.vm.vmm.exits) for station in made.stations] == before


def test_each_virtual_function_is_in_a_domain_of_its_own():
    made = sriov(Load(3))
    assert len({station.mac for station in made.stations}) == 3
    assert len({id(station.far) for station in made.stations}) == 1, "one wire for all"
    cards = vtd(Load(3))
    assert len({id(station.far) for station in cards.stations}) == 3, "a wire for each card"


def test_there_are_so_many_cards_and_the_fifth_vm_has_none():
    assert len(vtd(Load(8)).stations) == CARDS
    host = DirectHost(cards=CARDS)
    places = [host.kernel.find(card).place for card in host.cards]
    assert len({place.bus for place in places}) == CARDS


def test_a_vm_hears_no_frame_that_is_for_another():
    """The first frame to an unknown host is flooded; no copy is made for VMs it is not for."""
    load = Load(4, frames=1, batch=1)
    assert run("virtio", load).copies == closed_form("virtio", load).copies


def test_a_group_s_frame_is_for_every_vm():
    world = virtio(Load(3, asleep=False))
    with world.trace.recording() as events:
        world.stations[0].far.send(b"\xff" * 6 + share_runs.OUTSIDE + b"\x88\xb5" + bytes(46))
        world.settle()
    assert sum(event.note == "the VMM to guest memory" for event in events) == 3
    assert all(len(station.card.receive(1)) == 1 for station in world.stations)


def test_a_run_whose_frames_are_lost_counts_nothing():
    """With nobody at the other end of the cable the counts would mean nothing."""
    load = Load(1, asleep=False)
    world = virtio(load)
    world.stations[0].far.link.watchers.append(lambda end, frame: None)
    world.stations[0].card.send = lambda frames: None
    with pytest.raises(RuntimeError, match="the counts mean nothing"):
        count("virtio", world, load)


def test_more_vms_than_the_host_has_memory_for_are_not_run():
    with pytest.raises(ValueError, match="1 to 8 VMs"):
        run("virtio", Load(9))


def test_a_guest_that_waits_for_nothing_says_so():
    world = sriov(Load(1))
    with pytest.raises(TimeoutError, match="no message comes"):
        world.stations[0].card.receive(1)
