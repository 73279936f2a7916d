"""The measured ways to intercept: their exits are the closed forms of lesson 09."""

import pytest

from virtlab import machine
from virtlab.guest.uart import UartDriver
from virtlab.memory import PAGE
from virtlab.show.interception import (
    DEVICE,
    DIRECTORY,
    WAYS,
    entry_of,
    paged,
    paging_exits,
    text_exits,
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("n", [1, 5])
def test_an_intercepted_text_costs_two_exits_a_character_and_a_direct_one_none(way, n):
    direct = way.endswith(("bit 0", "present"))
    assert text_exits(way, b"x" * n) == (0 if direct else 2 * n)


@pytest.mark.parametrize("pages", [1, 8])
def test_a_shadow_pays_for_each_page_and_each_change_of_a_table(pages):
    guest = paged("shadow")
    assert guest.exits == 0
    guest.cpu.set_cr3(DIRECTORY)
    for _ in range(2):
        for page in range(pages):
            guest.cpu.store(0x2_0000 + page * PAGE, page)
    assert guest.exits == 1 + pages
    guest.cpu.store(entry_of(0x2_0000), 0x3_0000 | 3)
    assert guest.cpu.load(0x2_0000) == 0
    assert guest.exits == 1 + pages + 2
    guest.cpu.set_cr3(DIRECTORY)
    assert guest.exits == 1 + pages + 3


def test_with_ept_the_guests_tables_are_its_own_affair():
    guest = paged("ept")
    guest.cpu.set_cr3(DIRECTORY)
    guest.cpu.store(0x2_0000, 7)
    guest.cpu.store(entry_of(0x3_0000), 0x2_0000 | 3)
    assert guest.cpu.load(0x3_0000) == 7
    assert guest.exits == 0


@pytest.mark.parametrize("way", ["shadow", "ept"])
def test_a_device_behind_the_guests_own_tables_is_still_intercepted(way):
    guest = paged(way)
    guest.cpu.set_cr3(DIRECTORY)
    driver = UartDriver.in_memory(guest.cpu, DEVICE, machine.UART2_SHIFT)
    before = guest.exits
    for byte in b"hello":
        driver.put(byte)
    assert guest.guest.terminal2.text == "hello"
    assert guest.exits - before == 10


@pytest.mark.parametrize("pages", [1, 8, 64])
def test_the_steps_of_a_guest_with_its_own_tables(pages):
    assert list(paging_exits("shadow", pages).values()) == [1, pages, 0, 2, 10]
    assert list(paging_exits("ept", pages).values()) == [0, 0, 0, 0, 10]


def test_the_guest_has_so_many_pages_and_no_more():
    for pages in (0, 65):
        with pytest.raises(ValueError, match=f"1 to 64 pages, not to {pages}"):
            paging_exits("ept", pages)
