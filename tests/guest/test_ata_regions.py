"""The table of regions: it covers what it was given, and crosses no boundary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.devices.ata import PRD
from virtlab.devices.ata.registers import BOUNDARY, PRD_EOT
from virtlab.guest.ata_regions import check_table, prd_table


@pytest.mark.parametrize(
    ("gpa", "why"),
    [(2, "multiple of 4"), (-4, "multiple of 4"), (0xFFF4, "cross"), (0xFFFC, "cross")],
)
def test_a_table_has_its_place(gpa, why):
    with pytest.raises(ValueError, match=why):
        check_table(gpa, bytes(16))
    check_table(0xFFF0, bytes(16))


def test_no_region_no_table():
    assert prd_table([]) == b""


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 1 << 17)), max_size=8))
def test_a_table_covers_its_regions_and_crosses_nothing(halves):
    regions = [(2 * gpa, 2 * length) for gpa, length in halves]
    entries = np.frombuffer(prd_table(regions), PRD)
    covered = []
    for base, count, flags in (each.item() for each in entries):
        length = count or BOUNDARY
        assert base // BOUNDARY == (base + length - 1) // BOUNDARY
        assert flags in (0, PRD_EOT.mask)
        covered.append((base, length))
    assert [bool(each["flags"]) for each in entries] == [
        number == len(entries) - 1 for number in range(len(entries))
    ]
    assert sum(length for _, length in covered) == sum(length for _, length in regions)
    starts = iter(covered)
    for gpa, length in regions:
        while length:
            base, n = next(starts)
            assert base == gpa
            gpa, length = gpa + n, length - n
