"""Prices, each with its source."""

import pytest

from virtlab.clock import COSTS
from virtlab.show.cost import cost_table, price


def test_counts_are_multiplied_by_published_prices():
    (row,) = cost_table({"vm_exit": 1000}).rows
    assert row == (COSTS["vm_exit"].what, "1000", "230", "230.00", COSTS["vm_exit"].source)


def test_there_is_no_price_for_anything():
    with pytest.raises(ValueError, match="no price for 'dream'"):
        cost_table({"dream": 1})


def test_a_part_of_a_page_has_a_part_of_the_price():
    (row,) = cost_table({"copy_page": 0.125}).rows
    assert row[1:4] == ("0.125", "1046", "0.13")


def test_a_price_is_the_sum_of_the_table():
    counts = {"vm_exit": 3, "system_call": 1, "copy_page": 2, "process_switch": 1}
    assert price(counts) == sum(COSTS[name].ns * count for name, count in counts.items())
    assert price({}) == 0
    with pytest.raises(ValueError, match="no price for 'dream'"):
        price({"dream": 1})
