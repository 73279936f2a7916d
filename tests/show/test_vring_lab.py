"""The layout widget: every control, every state, nothing that breaks."""

import pytest

from virtlab.show import vring_lab
from virtlab.show.vring_lab import VringLab, explain
from virtlab.show.vring_state import BUSES, LAYOUTS, START, Vring, chosen, mistakes


def press(widget, words):
    next(item for item in widget.controls if item.description == words).click()


def shown(widget):
    return widget._picture.value, widget._says.value


def test_it_starts_with_one_page_number_and_says_what_it_is():
    widget = VringLab()
    assert widget.state == START
    assert "128 + 22 + 70 bytes, and 3946 of padding" in widget._says.value
    assert repr(widget) == "VringLab: a virtqueue in memory"
    assert all(control.description for control in widget.controls)
    assert widget._size.description == "Size, the device's"
    assert VringLab(Vring(size=64)).state.size == 64


def test_the_lists_change_what_they_say_and_hide_what_means_nothing():
    widget = VringLab()
    before = shown(widget)
    assert widget._align.layout.display == widget._near.layout.display == "none"
    widget._layout.value = "split"
    assert widget._size.description == "Size"
    assert widget.state == chosen(START, "PCI", "split")
    assert widget._align.layout.display is None
    assert widget._near.layout.display is None
    assert widget._place.description == "Begins at (gpa)"
    widget._align.value = 2
    assert "objects when <code>QUEUE_ENABLE</code> is written: the used ring" in widget._says.value
    widget._size.value = 1
    assert "no objection" in widget._says.value
    widget._bus.value = "MMIO"
    assert widget.state == Vring("MMIO", "split", 1, 0x21000, 2)
    widget._layout.value = "packed"
    assert widget._align.layout.display == "none"
    press(widget, "Reset")
    assert shown(widget) == before
    assert (widget._bus.value, widget._layout.value, widget._size.value) == ("PCI", "legacy", 8)


def test_the_queue_moves_by_pages_and_by_bytes():
    widget = VringLab()
    press(widget, "One page further")
    assert widget.state.place == 0x22
    assert widget._place.value == "0x22"
    widget._layout.value = "split"
    press(widget, "16 bytes further")
    press(widget, "One page further")
    assert widget.state.place == 0x23010
    widget._place.value = "0x30008"
    assert "not at a multiple of 16" in widget._says.value
    assert widget.state.place == 0x30008


def test_what_is_no_place_changes_nothing():
    widget = VringLab()
    widget._place.value = "here"
    assert '"here" is no number' in widget._says.value.replace("&quot;", '"')
    assert widget.state == START
    widget._place.value = "0xffffffff"
    assert "makes the device look, and it finds no memory" in widget._says.value
    press(widget, "One page further")
    assert "Nothing changes: a page number has 32 bits" in widget._says.value
    assert widget.state.place == 0xFFFF_FFFF


def test_every_mistake_can_be_made_in_every_world_and_taken_back():
    widget = VringLab()
    for bus in BUSES:
        for layout in LAYOUTS:
            for name in mistakes(chosen(START, bus, layout)):
                widget.reset()
                widget._bus.value, widget._layout.value = bus, layout
                right = widget.state
                widget._mistake.value = name
                assert widget.state == mistakes(right)[name]
                assert widget._mistake.value == ""
                assert widget._picture.value.startswith("<svg")


def test_a_change_is_drawn_once(monkeypatch):
    """The controls that follow are not taken for the reader's."""
    widget, drawn = VringLab(), []
    real = vring_lab.vring_picture
    monkeypatch.setattr(vring_lab, "vring_picture", lambda v: drawn.append(v) or real(v))
    widget._layout.value = "split"
    widget._mistake.value = "no power of two"
    press(widget, "Reset")
    assert len(drawn) == 3
    assert drawn[-1] == START


@pytest.mark.parametrize(
    ("vring", "words"),
    [
        (START, "The driver says one number, `0x21`: the queue begins at `0x21000`."),
        (START, "They lie in 2 pages."),
        (chosen(START, "MMIO", "legacy"), "size, alignment, and one number: page `0x21`."),
        (chosen(START, "PCI", "packed"), "The three parts have 128 + 4 + 4 bytes. They lie in 1"),
        (chosen(START, "PCI", "split"), "three addresses, each in two halves. The device has no"),
        (Vring(place=0), "it takes the queue out of use"),
        (Vring(place=0x100), "No register objects"),
        (Vring("PCI", "split", 100, 0x21000, 16), "objects when `QUEUE_SIZE` is written"),
    ],
)
def test_the_sentence(vring, words):
    assert words in explain(vring)
