"""The DMA explorer: the bytes are the disk's, and the counts are the closed forms."""

import itertools

import pytest

from tests.show.looks import check_picture
from virtlab import machine
from virtlab.show.dma import dma_timeline, tally
from virtlab.show.dma_explorer import (
    FIRST_SECTOR,
    MOST_PIECES,
    MOST_SECTORS,
    WAYS,
    Choice,
    DmaExplorer,
    experiment,
    explain,
    regions,
)

ALL = [Choice(way, 2, 3, asleep) for (_, way), asleep in itertools.product(WAYS, (True, False))]


@pytest.mark.parametrize("choice", ALL)
def test_whatever_the_way_the_bytes_are_those_of_the_disk(choice):
    result = experiment(choice)
    disk = machine.lesson_pc().disk
    assert result.data == disk.read(FIRST_SECTOR, choice.sectors)
    check_picture(dma_timeline(result.events, 24, registers=result.names))


@pytest.mark.parametrize("sectors", [1, 2, MOST_SECTORS])
@pytest.mark.parametrize(("way", "size"), [("pio16", 2), ("pio32", 4)])
def test_pio_costs_an_access_a_word(way, size, sectors):
    """7 for the command, then for each sector: its words, STATUS, and an EOI at both 8259As."""
    count = tally(experiment(Choice(way, sectors)).events)
    assert count.accesses == 7 + sectors * (512 // size + 3)
    assert (count.by_dma, count.interrupts) == (0, sectors)


@pytest.mark.parametrize("sectors", [1, MOST_SECTORS])
@pytest.mark.parametrize("pieces", [1, MOST_PIECES])
def test_dma_costs_the_same_whatever_its_size(sectors, pieces):
    count = tally(experiment(Choice("dma", sectors, pieces)).events)
    assert (count.accesses, count.interrupts) == (18, 1)
    assert count.by_dma == 512 * sectors + 8 * pieces


def test_the_pieces_are_even_and_add_up():
    for sectors, pieces in itertools.product((1, 3, 8), (1, 3, 7, 8)):
        made = regions(Choice("dma", sectors, pieces))
        assert sum(length for _, length in made) == 512 * sectors
        assert all(length and length % 2 == 0 for _, length in made)


def test_the_sentence_counts():
    choice = Choice("dma", 1, 1)
    words = explain(choice, experiment(choice))
    assert "18 accesses for 1 sectors" not in words
    assert "18 accesses for 1 sector." in words
    assert "520 bytes, 512 of them data" in words
    assert "1 interrupt came" in words
    polled = Choice("pio16", 1, 1, asleep=False)
    assert "It polled" in explain(polled, experiment(polled))


def test_the_widget_follows_its_controls_and_comes_back():
    widget = DmaExplorer()
    before = widget._picture.value
    widget._way.value = "pio16"
    assert "256 × in DATA" in widget._picture.value
    widget._sectors.value, widget._pieces.value, widget._wait.value = 1, 1, False
    assert widget.state == Choice("pio16", 1, 1, False)
    widget.reset()
    assert widget.state == Choice()
    assert widget._picture.value == before
    assert repr(widget).startswith("Who moves the bytes")
