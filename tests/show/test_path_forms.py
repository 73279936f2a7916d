"""What a workload must cost by each way, by hand; and which workloads there are."""

import pytest

from virtlab.clock import COSTS
from virtlab.show.path_choice import LARGEST_BATCH, MOST, REQUEST, Choice, check, settled
from virtlab.show.path_forms import Counts, closed_form, interrupts, terms

PIO = Choice("disk", "pio", REQUEST, interrupts=False)
DMA = Choice("disk", "dma", REQUEST, interrupts=False)
BLK = Choice("disk", "virtio", REQUEST, interrupts=False)
CARD = Choice("net", "e1000", 1, interrupts=False)
NET = Choice("net", "virtio", 1, interrupts=False)


@pytest.mark.parametrize(
    ("choice", "exits"),
    [
        (PIO._replace(task="in"), 7 + 257 * 8),
        (PIO._replace(task="out"), 8 + 257 * 8),
        (DMA._replace(task="in"), 15),
        (DMA._replace(task="out"), 15),
        (BLK._replace(task="in"), 1),
        (CARD._replace(task="in"), 1),
        (CARD._replace(task="out"), 1),
        (NET._replace(task="in"), 1),
        (NET._replace(task="out"), 1),
    ],
)
def test_one_piece_with_nobody_asleep(choice, exits):
    assert closed_form(choice).exits == exits


@pytest.mark.parametrize(
    ("choice", "calls", "each"),
    [
        (PIO, 16, 1 + 2),  # a sector: HLT, two OUTs; STATUS is read in any case
        (DMA, 2, 1 + 2),
        (CARD, 2, 1 + 1 + 2),  # and ICR
        (NET, 2, 1 + 1 + 2),  # and the ISR status
        (NET._replace(transport="pci-legacy"), 2, 1 + 1 + 2),
        (NET._replace(transport="mmio"), 2, 1 + 2 + 2),  # and acknowledged by a write
        (NET._replace(msix=True, interrupts=True), 2, 1),
    ],
)
def test_an_interrupt_costs_its_halt_its_question_and_its_end(choice, calls, each):
    asleep, awake = choice._replace(interrupts=True), choice._replace(interrupts=False, msix=False)
    assert interrupts(asleep) == calls
    assert interrupts(awake) == 0
    assert closed_form(asleep).exits - closed_form(awake).exits == calls * each


@pytest.mark.parametrize("choice", [PIO, DMA])
def test_a_drive_takes_one_command_at_a_time_so_a_batch_saves_nothing(choice):
    eight = choice._replace(amount=8 * REQUEST)
    assert closed_form(eight._replace(batch=8)) == closed_form(eight)


@pytest.mark.parametrize("choice", [BLK, NET])
def test_a_virtio_batch_costs_what_one_piece_costs(choice):
    one = closed_form(choice._replace(interrupts=True))
    amount = choice.amount * 8
    eight = closed_form(choice._replace(interrupts=True, amount=amount, batch=8))
    assert eight.exits == one.exits
    assert eight.copies == 8 * one.copies


def test_a_batch_that_is_not_full_is_a_batch():
    assert closed_form(NET._replace(amount=9, batch=4)).exits == 2 * 3


def test_receive_buffers_go_back_one_by_one_or_together_or_unheard():
    eight = {"amount": 8, "batch": 8, "task": "in"}
    assert closed_form(CARD._replace(**eight)).exits == 8
    assert closed_form(CARD._replace(**eight, bundled=True)).exits == 1
    assert closed_form(NET._replace(**eight)).exits == 1
    assert closed_form(NET._replace(**eight, event_idx=True)).exits == 0


def test_ports_are_io_and_registers_in_memory_are_mmio():
    for choice in (PIO, DMA, BLK._replace(transport="pci-legacy")):
        assert closed_form(choice).by_kind["mmio"] == 0
    for choice in (CARD, NET, BLK, BLK._replace(transport="mmio")):
        assert closed_form(choice).by_kind["io"] == 0
    asleep = closed_form(NET._replace(interrupts=True))
    assert (asleep.io, asleep.eoi, asleep.mmio, asleep.hlt, asleep.other) == (4, 4, 4, 2, 0)
    assert asleep.accesses == asleep.exits - asleep.hlt


def test_nobody_saves_the_copy():
    """Each byte moves once; only in PIO in pieces of a sector."""
    for choice in (PIO, DMA, BLK):
        assert closed_form(choice).bytes_copied == 2 * REQUEST
    assert [closed_form(choice).copies for choice in (PIO, DMA, BLK)] == [16, 2, 2]
    for choice in (CARD, NET):
        counts = closed_form(choice._replace(amount=3, frame=1514))
        assert (counts.copies, counts.bytes_copied) == (6, 6 * 1514)


def test_the_price_is_that_of_exits_and_pages():
    counts = Counts(io=2, mmio=1, hlt=1, bytes_copied=8192)
    assert counts.ns == 4 * COSTS["vm_exit"].ns + 2 * COSTS["copy_page"].ns


def test_terms_are_named_once_and_none_is_nothing():
    for choice in (PIO, DMA, BLK, CARD, NET):
        for asleep in (False, True):
            found = terms(choice._replace(interrupts=asleep))
            assert len({term.name for term in found}) == len(found)
            assert all(term.count > 0 and term.why for term in found)


# -- what there is


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        (Choice("tape", "virtio", 1), "the device 'tape' has the ways"),
        (Choice("net", "pio", 1), "the ways"),
        (Choice("disk", "e1000", REQUEST), "the ways"),
        (Choice("disk", "virtio", 512), "pieces of 4096"),
        (Choice("disk", "virtio", 0), "1 to 256 pieces"),
        (Choice("net", "virtio", MOST + 1), "1 to 256 pieces"),
        (NET._replace(batch=0), "batches of 1 to 32"),
        (NET._replace(batch=LARGEST_BATCH + 1), "batches of 1 to 32"),
        (NET._replace(frame=59), "60 to 1514"),
        (NET._replace(frame=1515), "60 to 1514"),
        (NET._replace(task="sideways"), "task is one of"),
        (NET._replace(transport="usb"), "transport is one of"),
        (NET._replace(layout="round"), "layout is one of"),
        (PIO._replace(transport="mmio"), "see `settled`"),
        (DMA._replace(bundled=True), "see `settled`"),
        (CARD._replace(event_idx=True), "see `settled`"),
        (NET._replace(bundled=True), "see `settled`"),
        (NET._replace(msix=True), "see `settled`"),
        (NET._replace(msix=True, interrupts=True, transport="mmio"), "see `settled`"),
        (NET._replace(layout="packed", transport="pci-legacy"), "see `settled`"),
    ],
)
def test_what_there_is_not_is_refused(choice, why):
    with pytest.raises(ValueError, match=why):
        check(choice)
    with pytest.raises(ValueError, match=why):
        closed_form(choice)


def test_a_settled_choice_is_one_that_there_is():
    wild = {"transport": "pci-legacy", "layout": "packed", "event_idx": True, "msix": True}
    for choice in (PIO, DMA, BLK, CARD, NET):
        for transport in ("pci", "pci-legacy", "mmio"):
            made = settled(choice._replace(**wild | {"transport": transport}, bundled=True))
            assert check(made) == made == settled(made)


def test_what_is_there_stays_as_it_was_set():
    choice = NET._replace(interrupts=True, msix=True, layout="packed", event_idx=True)
    assert settled(choice) == choice
    assert settled(CARD._replace(bundled=True)) == CARD._replace(bundled=True)


def test_sums_of_a_choice():
    choice = Choice("disk", "virtio", 9 * REQUEST, batch=4)
    assert (choice.ways, choice.each, choice.units, choice.batches) == (2, 9, 18, 6)
    assert choice.bytes_moved == 18 * REQUEST
    frames = Choice("net", "virtio", 5, batch=4, task="in", frame=100)
    assert (frames.ways, frames.units, frames.batches, frames.bytes_moved) == (1, 5, 2, 500)
