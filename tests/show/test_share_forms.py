"""What n machines must cost by each way, by hand; who has a device; what there is not."""

import pytest

from virtlab.show.share_forms import TERMS, Counts, closed_form, terms
from virtlab.show.share_load import CARDS, LIMITS, MOST_VMS, STEPS, WAYS, Load, check, served

ONE = Load(1, frames=1, batch=1)


@pytest.mark.parametrize(
    ("way", "registers", "halts", "trips", "host", "copies"),
    [
        ("emulated", 1 + 1 + 2 + 4, 2, 0, 1, 4),  # two tails, ICR twice, two EOIs of two OUTs
        ("virtio", 1, 2, 0, 1, 4),  # a doorbell
        ("virtio in user space", 1, 2, 2, 1, 4),
        ("VT-d", 0, 2, 0, 1, 0),
        ("SR-IOV", 0, 2, 0, 1, 0),
    ],
)
def test_one_frame_out_and_one_in_by_a_guest_that_sleeps(
    way, registers, halts, trips, host, copies
):
    wanted = Counts(registers, halts, trips, host, 2, copies, copies * ONE.size)
    assert closed_form(way, ONE) == wanted


@pytest.mark.parametrize(
    ("way", "exits"),
    [("emulated", 2), ("virtio", 1), ("virtio in user space", 1), ("VT-d", 0), ("SR-IOV", 0)],
)
def test_a_guest_that_looks_pays_for_its_registers_only(way, exits):
    counts = closed_form(way, ONE._replace(asleep=False))
    assert (counts.exits, counts.halts, counts.interrupts) == (exits, 0, 0)


@pytest.mark.parametrize("way", ["VT-d", "SR-IOV"])
def test_a_function_of_its_own_costs_nothing_on_the_data_path(way):
    """S43, S44: data bypasses the VMM."""
    assert closed_form(way, Load(4, frames=256, batch=32, asleep=False)) == Counts()


def test_a_batch_is_paid_once_and_a_frame_each_time():
    eight = closed_form("virtio", Load(1, frames=8, batch=8))
    assert eight.exits == closed_form("virtio", ONE).exits
    assert eight.copies == 8 * closed_form("virtio", ONE).copies
    assert closed_form("emulated", Load(1)).registers == 7 + 8
    assert closed_form("virtio", Load(1, frames=9, batch=4)).registers == 3


@pytest.mark.parametrize("way", WAYS)
def test_every_vm_costs_the_same_as_the_first(way):
    one = closed_form(way, Load(1))
    for vms in STEPS:
        times = served(way, vms)
        assert closed_form(way, Load(vms)) == Counts(*(times * each for each in one))


def test_cards_run_out_and_virtual_functions_later():
    """S43: dedicated assignment limits scalability."""
    assert [served("VT-d", vms) for vms in STEPS] == [1, 2, 4, 4, 4, 4, 4]
    assert [served("SR-IOV", vms) for vms in (32, 63, 64)] == [32, 63, 63]
    assert served("emulated", MOST_VMS) == MOST_VMS
    assert LIMITS == {"VT-d": CARDS, "SR-IOV": 63}


def test_world_switches_are_two_for_each_exit_and_each_trip():
    assert Counts(registers=2, halts=1, trips=4).switches == 2 * (3 + 4)


def test_terms_have_names_and_reasons():
    for way in WAYS:
        assert len({term.name for term in TERMS[way]}) == len(TERMS[way])
        assert all(term.why and term.batch + term.frame > 0 for term in TERMS[way])
        assert all(not term.asleep for term in terms(way, asleep=False))


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (Load(0), "1 to 64 VMs"),
        (Load(65), "1 to 64 VMs"),
        (Load(1, frames=0), "1 to 256 frames"),
        (Load(1, frames=257), "1 to 256 frames"),
        (Load(1, batch=0), "batches of 1 to 32"),
        (Load(1, batch=33), "batches of 1 to 32"),
        (Load(1, size=59), "60 to 1514"),
        (Load(1, size=1515), "60 to 1514"),
    ],
)
def test_what_there_is_not_is_refused(load, why):
    with pytest.raises(ValueError, match=why):
        check(load)
    with pytest.raises(ValueError, match=why):
        closed_form("virtio", load)


def test_a_way_that_there_is_not_is_refused():
    for ask in (lambda: served("MR-IOV", 1), lambda: terms("MR-IOV")):
        with pytest.raises(ValueError, match="the ways are emulated"):
            ask()
