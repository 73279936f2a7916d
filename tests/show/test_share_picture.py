"""Curves, markers and the list: what is drawn is what the forms and the runs say."""

import pytest

from tests.show.looks import SVG, check_picture, words_of
from virtlab.show.share_forms import closed_form
from virtlab.show.share_load import STEPS, WAYS, Load, served
from virtlab.show.share_metrics import METRICS, holders, metric, share_table, workload
from virtlab.show.share_picture import STYLES, curve, share_picture

SMALL = Load(16, 8, 60)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("load", [Load(1), SMALL, Load(64, asleep=False), Load(4, 256, 1514, 32)])
def test_every_metric_can_be_drawn_for_every_load(name, load):
    drawn = share_picture(load, name)
    check_picture(drawn)
    assert share_picture(load, name).svg == drawn.svg


def test_ways_differ_in_more_than_colour():
    looks = {(style.weight, style.dash, style.marker) for style in STYLES.values()}
    assert len(looks) == len(WAYS) == len({style.marker for style in STYLES.values()})


def test_the_list_has_the_numbers_of_the_chosen_vms():
    words = words_of(share_picture(Load(16), "exits"))
    for way in WAYS:
        assert way in words
        assert f"{closed_form(way, Load(16)).exits}" in words
    assert "4 of 16 have a device" in words
    assert "16 VMs" in words


def test_one_that_serves_few_is_not_best_because_it_is_cheap():
    """VT-d costs 8 exits at 16 VMs, and has 4 of them."""
    assert metric("exits").ranked(Load(16))[:2] == ["SR-IOV", "VT-d"]
    assert metric("share").ranked(Load(16))[0] == "SR-IOV"
    assert metric("share").ranked(Load(16))[-1] == "VT-d"
    assert metric("busy").ranked(Load(64))[:2] == ["SR-IOV", "VT-d"]


def test_points_say_who_was_measured_and_who_has_a_device():
    points = curve("VT-d", Load(1, frames=2, batch=2), metric("exits"), measured=(1, 2))
    assert [point.vms for point in points] == list(STEPS)
    assert [point.run for point in points] == [True, True, *[False] * 5]
    assert [point.full for point in points] == [True, True, True, *[False] * 4]
    assert [point.value for point in points] == [2, 4, 8, 8, 8, 8, 8]


def test_a_rate_is_never_measured():
    assert not any(point.run for point in curve("VT-d", Load(1), metric("busy"), measured=(1,)))


def test_measured_points_are_filled_and_marked_in_the_text():
    load = Load(1, frames=2, batch=2)
    drawn = share_picture(load, "exits", measured=(1,), title="Counted")
    check_picture(drawn)
    assert "Counted" in words_of(drawn)
    assert any(words.startswith("Filled: measured") for words in words_of(drawn))
    row = next(line for line in drawn.text.splitlines() if line.startswith("emulated"))
    assert row.split()[1:3] == ["11*", "22"]
    assert "* measured, ! not every VM has a device" in drawn.text
    assert "measured" not in share_picture(load, "exits").text


def test_nothing_has_a_row_of_its_own_where_powers_of_ten_have_none():
    drawn = check_picture(share_picture(Load(2), "copied"))
    heights = {}
    for each in drawn.iter(f"{SVG}text"):
        heights.setdefault(each.text, float(each.attrib["y"]))
    assert heights["0"] > heights["10"] > heights["100"]
    assert "0%" in words_of(share_picture(Load(2), "share"))
    assert "0" not in words_of(share_picture(Load(2), "busy"))


def test_a_metric_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="the metrics are exits, switches"):
        share_picture(Load(1), "joy")


# -- numbers and words


def test_the_table_has_a_row_for_each_way_and_a_column_for_each_metric():
    table = share_table(Load(64))
    assert [row[0] for row in table.rows] == list(WAYS)
    assert len(table.headers) == 2 + len(METRICS)
    by_way = {row[0]: row[1:] for row in table.rows}
    assert by_way["SR-IOV"][:3] == ("63 of 64", "126", "252")
    assert by_way["VT-d"][0] == "4 of 64"
    assert by_way["virtio"][:2] == ("all", "192")
    assert table.caption == "64 VMs; 8 frames of 1514 bytes out and 8 in for each"


def test_a_number_is_of_those_that_have_a_device():
    for way in WAYS:
        counts = closed_form(way, SMALL)
        assert metric("exits").value(way, SMALL) == counts.exits
        assert metric("exits").each(way, SMALL) == counts.exits / served(way, SMALL.vms)
        assert metric("switches").value(way, SMALL) == counts.switches
        assert metric("copied").value(way, SMALL) == counts.bytes_copied / 1024
        assert metric("interrupts").value(way, SMALL) == counts.host_interrupts


def test_words_for_one_and_for_many():
    assert workload(Load(1, 1, 60)) == "1 VM; 1 frame of 60 bytes out and 1 in for each"
    assert workload(Load(2), rate=True) == (
        "2 VMs; a full wire of 1514-byte frames, both ways; 125 µs a tick"
    )
    assert (holders("VT-d", 4), holders("VT-d", 5)) == ("all", "4 of 5")
