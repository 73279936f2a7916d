"""What a request costs: counted by hand on a few lines, and by closed form on whole laps."""

import pytest

from virtlab.memory import GuestMemory
from virtlab.show.ring_cost import (
    IN_ORDER,
    LAYOUTS,
    LINE,
    Lines,
    WatchedCpu,
    WatchedDma,
    batch,
    cost,
    lines_table,
    moves_table,
    pair,
)


def test_a_line_moves_to_whoever_does_not_have_it():
    lines = Lines([(0, 256)])
    lines.note("driver", 0, 8, write=True)  # fetched for the first time
    lines.note("driver", 8, 8, write=True)  # it has it alone
    assert lines.moves == 1
    lines.note("device", 0, 8, write=False)  # fetched from the driver
    lines.note("device", 56, 8, write=False)
    lines.note("driver", 0, 8, write=False)  # both have it
    assert lines.moves == 2
    lines.note("device", 0, 8, write=True)  # taken away from the driver
    lines.note("device", 0, 8, write=True)
    assert lines.moves == 3
    lines.note("driver", 0, 8, write=False)
    assert lines.moves == 4
    assert lines.accesses == {"driver": 4, "device": 4}


def test_an_access_over_the_edge_is_two_lines_and_one_elsewhere_is_none():
    lines = Lines([(64, 64), (192, 128)])
    lines.note("driver", 250, 12, write=False)
    assert lines.touched["driver"] == {3, 4}
    assert lines.moves == 2
    lines.note("driver", 0, 8, write=True)
    lines.note("driver", 128, 8, write=True)
    assert lines.accesses["driver"] == 1
    lines.clear()
    assert (lines.moves, lines.touched["driver"]) == (0, set())
    lines.note("driver", 256, 1, write=False)
    assert lines.moves == 0  # the caches keep what they have


def test_watchers_do_what_they_watch():
    memory = GuestMemory(0x1000)
    lines = Lines([(0, 0x1000)])
    cpu, dma = WatchedCpu(memory, lines), WatchedDma(memory, lines)
    cpu.store(0, 0x1234, 2)
    cpu.write(64, b"abcd")
    assert dma.read(0, 2) == b"\x34\x12"
    dma.write(128, b"xyz")
    assert (cpu.load(0, 2), cpu.read(128, 3)) == (0x1234, b"xyz")
    assert dma.view(64, 4).tobytes() == b"abcd"
    assert lines.accesses == {"driver": 4, "device": 2}
    assert lines.touched == {"driver": {0, 1, 2}, "device": {0, 2}}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_batch_brings_everything_back(name):
    layout, features = LAYOUTS[name]
    made = pair(layout, 16, features)
    for count in (1, 5, 16):
        batch(made, count)
        assert made.driver.added == made.driver.last_used
        assert made.queue.in_flight == 0
    assert made.driver.added == 22


def test_accesses_of_one_split_request_are_those_of_the_five_calls():
    # add: descriptor, entry. kick: idx, flags. get: used idx, element; and idx once more.
    # pop: idx, entry, descriptor; idx once more. push: element, idx. notify: flags.
    each = cost("split", 1, size=64)
    assert (each.driver_accesses, each.device_accesses) == (7, 7)


def test_accesses_of_one_packed_request():
    # add: descriptor without flags. kick: flags, event. get: flags, the rest; and flags once more.
    # pop: flags, the rest; flags once more. push: the rest, flags. notify: event.
    each = cost("packed", 1, size=64)
    assert (each.driver_accesses, each.device_accesses) == (6, 6)


@pytest.mark.parametrize("count", [4, 16, 64])
def test_packed_lines_have_a_closed_form(count):
    # count / 4 lines of descriptors, the next one that is asked in vain, and an event word.
    each = cost("packed", count, size=64)
    ahead = 0 if count == 64 else 1
    assert each.driver_lines == each.device_lines == (count / 4 + ahead + 1) / count


@pytest.mark.parametrize("count", [4, 16])
def test_packed_moves_have_a_closed_form(count):
    # Each line of four: the driver takes it, the device fetches it, takes it, the driver fetches.
    assert cost("packed", count).moves == 1
    # In order the device writes the first line only.
    lines = count / 4
    assert cost("packed", count, IN_ORDER).moves == (2 * lines + 2) / count


def test_a_packed_ring_moves_less_in_small_batches_and_not_in_large_ones():
    small = {name: cost(*_of(name, 1), size=64).moves for name in LAYOUTS}
    large = {name: cost(*_of(name, 64), size=64).moves for name in LAYOUTS}
    assert small["packed"] == 4
    assert small["split"] > 2 * small["packed"]
    assert large["packed"] > large["split"]
    assert large["packed, in order"] < large["packed"]


def _of(name, count):
    layout, features = LAYOUTS[name]
    return layout, count, features


def test_the_tables_have_a_row_for_each_batch():
    for table in (lines_table((1, 16)), moves_table((1, 16))):
        assert table.headers == ("batch", *LAYOUTS)
        assert [row[0] for row in table.rows] == ["1", "16"]
        assert all(float(cell) > 0 for row in table.rows for cell in row[1:])


@pytest.mark.parametrize("count", [0, -1, 3, 512])
def test_batches_fill_a_lap(count):
    with pytest.raises(ValueError, match="whole number of batches"):
        cost("split", count)


def test_a_line_is_that_of_a_pc():
    assert LINE == 64
