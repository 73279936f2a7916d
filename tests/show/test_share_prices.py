"""From counts to time, and from time to the part of a wire."""

import pytest

from virtlab.clock import COSTS
from virtlab.show.share_forms import Counts, closed_form
from virtlab.show.share_load import STEPS, WAYS, Load
from virtlab.show.share_prices import (
    TICK,
    busy,
    busy_for_one_more,
    frames_a_tick,
    nanoseconds,
    priced,
    share,
    wire_ns,
)

EXIT, SWITCH, PAGE_NS = (COSTS[n].ns for n in ("vm_exit", "process_switch", "copy_page"))


def test_counts_have_the_prices_of_the_cost_table():
    counts = Counts(1, 2, 3, 4, 5, 6, 8192)
    assert priced(counts) == {"vm_exit": 7, "process_switch": 6, "copy_page": 2}
    assert nanoseconds(counts) == 7 * EXIT + 6 * SWITCH + 2 * PAGE_NS


def test_what_the_lesson_says_of_a_trip_and_of_a_copy():
    """A trip costs as much as 33 exits; a copy of the largest frame as much as 1.7."""
    assert round(2 * SWITCH / EXIT) == 33
    assert round(1514 / 4096 * PAGE_NS / EXIT, 1) == 1.7


def test_the_wire_carries_the_textbook_s_frames():
    """14.88 million of the smallest frames in a second at 10 Gb/s, 812 744 of the largest."""
    assert 1e9 / wire_ns(60) == pytest.approx(14_880_952, abs=1)
    assert 1e9 / wire_ns(1514) == pytest.approx(812_744, abs=1)
    assert frames_a_tick(1514) == pytest.approx(101.6, abs=0.1)


@pytest.mark.parametrize("way", WAYS)
def test_a_tick_at_line_rate_costs_what_its_load_costs(way):
    """Where the frames are whole numbers, `busy` is the closed form's time over a tick."""
    size, vms = 1514, 2
    frames = 50
    load = Load(vms, frames, size, batch=32)
    one_batch = closed_form(way, load._replace(frames=1, batch=1))
    one_frame = nanoseconds(closed_form(way, load._replace(frames=2, batch=2))) - nanoseconds(
        one_batch
    )
    own = frames_a_tick(size) / vms
    wanted = nanoseconds(one_batch) + (own - 1) * one_frame
    assert busy(way, vms, size) == pytest.approx(wanted / TICK)


def test_with_more_vms_than_frames_a_batch_is_a_frame(monkeypatch):
    """Then a VM is served once for each of its frames, not once a tick."""
    monkeypatch.setattr("virtlab.show.share_prices.TICK", 10_000)
    own = 10_000 / wire_ns(1514) / 64
    assert own < 1
    assert busy("SR-IOV", 63, 1514) == pytest.approx(own * 64 / 63 * 63 * 3 * EXIT / 10_000)


@pytest.mark.parametrize("way", WAYS)
def test_each_vm_adds_its_batches(way):
    more = busy(way, 2, 1514) - busy(way, 1, 1514)
    assert busy_for_one_more(way, 1514) == pytest.approx(more)


def test_sr_iov_adds_three_exits_a_tick_for_each_vm():
    """Two HLTs, and the host that wakes the guest: 0.55 % of a processor."""
    assert busy_for_one_more("SR-IOV", 1514) == 3 * EXIT / TICK
    assert busy_for_one_more("SR-IOV", 60) == busy_for_one_more("VT-d", 60)


def test_sr_iov_fills_the_wire_for_every_vm_that_has_a_function():
    for size in (60, 1514):
        assert [share("SR-IOV", vms, size) for vms in STEPS[:-1]] == [1.0] * 6
        assert share("SR-IOV", 64, size) == 63 / 64


def test_whole_cards_serve_four_vms_and_no_more():
    assert [share("VT-d", vms, 1514) for vms in STEPS] == [1, 1, 1, 0.5, 0.25, 0.125, 0.0625]


def test_what_needs_more_than_a_processor_does_not_fill_the_wire():
    for way in ("emulated", "virtio in user space"):
        for vms in STEPS[1:]:
            for size in (60, 1514):
                assert busy(way, vms, size) > 1
                assert share(way, vms, size) == pytest.approx(1 / busy(way, vms, size))


def test_the_order_at_64_vms_is_that_of_the_lecture():
    """Software shares at a price, whole cards do not scale, SR-IOV does both."""
    order = sorted(WAYS, key=lambda way: -share(way, 64, 1514))
    assert order == ["SR-IOV", "virtio", "emulated", "virtio in user space", "VT-d"]


def test_nobody_busy_is_the_whole_wire():
    assert busy("SR-IOV", 8, 60, asleep=False) == 0
    assert share("SR-IOV", 8, 60, asleep=False) == 1


def test_frames_that_are_too_few_for_the_vms_have_no_such_price(monkeypatch):
    monkeypatch.setattr("virtlab.show.share_prices.TICK", 10_000)
    with pytest.raises(ValueError, match="not each of 64 VMs"):
        busy_for_one_more("SR-IOV", 1514)


def test_a_load_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="1 to 64 VMs"):
        busy("virtio", 65, 60)
