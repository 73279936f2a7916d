"""Figures of others are quoted with their source, and ours beside them is computed."""

from virtlab.show.share_load import MOST_VMS
from virtlab.show.share_prices import busy_for_one_more
from virtlab.show.share_published import (
    DIFFERENCES,
    DONG,
    SRIOV_PER_VM,
    SRIOV_VMS,
    published,
    published_table,
)


def test_each_figure_has_its_source_and_says_what_was_measured():
    for each in published():
        assert each.what
        assert each.theirs
        assert any(year in each.source for year in ("2010", "2011", "2012"))
        assert each.source.endswith(("abstract", "introduction")), "where we have read it"


def test_the_hpca_paper_s_figures_are_quoted_as_its_abstract_has_them():
    throughput, overhead = (each for each in published() if each.source == DONG)
    assert (throughput.theirs, overhead.theirs) == ("9.48 Gb/s", "1.76%")
    assert f"{SRIOV_VMS} VMs" in throughput.what
    assert SRIOV_VMS <= MOST_VMS


def test_ours_is_of_the_same_order_and_less():
    """A lower bound: exits alone, without the guests' own work."""
    throughput, overhead = (each for each in published() if each.source == DONG)
    assert throughput.ours.startswith("9.84 Gb/s")
    ours = busy_for_one_more("SR-IOV", 1514)
    assert SRIOV_PER_VM / 10 < ours < SRIOV_PER_VM
    assert overhead.ours == "0.55% of one processor"


def test_the_exit_of_the_paper_is_converted_by_its_own_clock():
    exit = published()[-1]
    assert exit.theirs == "2000 cycles: 683 ns"
    assert exit.ours.startswith("230 ns")


def test_the_table_has_all_of_them_and_the_differences_are_said():
    table = published_table()
    assert len(table.rows) == len(published())
    assert len(DIFFERENCES) >= 4
    assert all(each.endswith(".") for each in DIFFERENCES)
