"""An enumeration in words: a line for each function."""

from virtlab.guest.pci import Found, FoundBar, Place
from virtlab.guest.pci_words import found_text


def test_a_line_for_each_function_and_those_below_are_indented():
    card = Found(Place(1, 0, 0), 0x1AF4, 0x1041, 0x20000, 0)
    card.bars = [
        FoundBar(0, "memory", 0x1000, 32, False, 0xC0000000),
        FoundBar(1, "port", 0x20, 32, False),
    ]
    card.pin = 1
    bridge = Found(Place(0, 3, 0), 0x1B36, 0xC, 0x60400, 1, pin=2, line=10, below=[card])
    bridge.buses = (1, 2)
    odd = Found(Place(0, 4, 1), 0x8086, 0x1237, 0x60000, 0, pin=9)
    assert found_text([bridge, odd]).splitlines() == [
        "00:03.0  1b36:000c  class 060400  bridge to 01..02, INTB on line 10",
        "  01:00.0  1af4:1041  class 020000  BAR 0 memory 0x1000 at 0xc0000000, "
        "BAR 1 port 0x20 nowhere, INTA",
        "00:04.1  8086:1237  class 060000  INT?",
    ]


def test_nothing_found_is_no_line():
    assert found_text([]) == ""
