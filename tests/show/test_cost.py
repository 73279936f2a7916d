"""Prices, each with its source."""

import pytest

from virtlab.clock import COSTS
from virtlab.show import cost_table


def test_counts_are_multiplied_by_published_prices():
    (row,) = cost_table({"vm_exit": 1000}).rows
    assert row == (COSTS["vm_exit"].what, "1000", "230", "230.00", COSTS["vm_exit"].source)


def test_there_is_no_price_for_anything():
    with pytest.raises(ValueError, match="no price for 'dream'"):
        cost_table({"dream": 1})
