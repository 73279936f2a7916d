"""The picture of scatter-gather: every entry in both orders, and nothing over anything."""

import numpy as np
import pytest

from tests.show.looks import check_picture, words_of
from virtlab.devices.ata.registers import PRD
from virtlab.guest.ata_regions import prd_table
from virtlab.show.scatter import MAX_DRAWN, entries, scatter_picture

REGIONS = [(0x30000, 256), (0x10000, 512), (0x20000, 256)]


def table(regions):
    return np.frombuffer(prd_table(regions), PRD)


def test_the_entries_are_in_the_order_of_the_data():
    found = entries(table(REGIONS))
    assert [(each.gpa, each.length, each.start) for each in found] == [
        (0x30000, 256, 0),
        (0x10000, 512, 256),
        (0x20000, 256, 768),
    ]
    assert [each.last for each in found] == [False, False, True]


def test_a_count_of_zero_is_64_kib():
    (found,) = entries(table([(0x10000, 0x10000)]))
    assert found.length == 0x10000


def test_what_stands_behind_the_last_entry_is_not_drawn():
    rows = np.concatenate([table(REGIONS[:1]), table(REGIONS[1:])])
    assert len(entries(rows)) == 1


def test_memory_is_in_the_order_of_addresses():
    words = words_of(scatter_picture(table(REGIONS)))
    right = [each for each in words if " to 0x" in each]
    assert sorted(right) == ["0x10000 to 0x101ff", "0x20000 to 0x200ff", "0x30000 to 0x300ff"]


@pytest.mark.parametrize("count", [1, 3, MAX_DRAWN + 3])
def test_the_picture_keeps_the_rules_of_all_pictures(count):
    drawn = scatter_picture(table([(0x10000 + 0x1000 * n, 512) for n in range(count)]))
    root = check_picture(drawn)
    assert root.attrib["aria-label"].endswith(f"{count} pieces, {512 * count} bytes")
    assert ("and 3 more" in words_of(drawn)) == (count > MAX_DRAWN)
    assert len(drawn.text.splitlines()) == 1 + count
