"""The I/O bitmaps against a model that knows only ports: SDM 3C 25.6.4 and 26.1.3."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.vmm.io_bitmap import PORTS, IoBitmap

operations = st.lists(
    st.tuples(st.booleans(), st.integers(0, PORTS - 1), st.integers(0, 300)), max_size=12
)


def apply(steps):
    """The same open and trap calls on an IoBitmap and on an array of one bool a port."""
    bitmap, trapped = IoBitmap(), np.ones(PORTS, bool)
    for trap, port, count in steps:
        count = min(count, PORTS - port)
        (bitmap.trap if trap else bitmap.open)(port, count)
        trapped[port : port + count] = trap
    return bitmap, trapped


def expected(trapped, size):
    """Whether each port exits with an access of `size`: any byte trapped, or past 0xFFFF."""
    padded = np.concatenate([trapped, np.ones(size, bool)])
    return np.any([padded[i : i + PORTS] for i in range(size)], axis=0)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_port_by_every_size(size):
    bitmap, trapped = apply(
        [
            (False, 0x60, 5),
            (False, 0x3F8, 8),
            (False, 0x7FFE, 5),
            (False, 0xFFF0, 16),
            (True, 0x3FD, 1),
            (False, 0xCF8, 8),
        ]
    )
    found = [bitmap.exits(port, size) for port in range(PORTS)]
    assert found == expected(trapped, size).tolist()


@given(operations, st.integers(0, PORTS - 1), st.sampled_from([1, 2, 4]))
def test_an_access_exits_if_any_of_its_bytes_does(steps, port, size):
    bitmap, trapped = apply(steps)
    assert bitmap.exits(port, size) == expected(trapped, size)[port]


@given(operations)
def test_the_pages_are_bit_for_bit_what_the_processor_reads(steps):
    bitmap, trapped = apply(steps)
    bits = np.packbits(trapped, bitorder="little").tobytes()
    assert bytes(bitmap.a) == bits[:4096]
    assert bytes(bitmap.b) == bits[4096:]


def test_a_bit_of_one_means_exit_and_all_start_so():
    bitmap = IoBitmap()
    assert bitmap.a == bitmap.b == b"\xff" * 4096
    assert bitmap.exits(0x80, 1)
    bitmap.open(0x80)
    assert (bitmap.bit(0x80), bitmap.exits(0x80, 1)) == (0, False)


def test_an_access_that_wraps_past_the_last_port_exits():
    bitmap = IoBitmap()
    bitmap.open(0, PORTS)
    assert not bitmap.exits(0xFFFF, 1)
    assert not bitmap.exits(0xFFFC, 4)
    assert bitmap.exits(0xFFFF, 2)
    assert bitmap.exits(0xFFFD, 4)


@pytest.mark.parametrize(
    ("port", "size"),
    [(0, 3), (0, 0), (0, 8), (0, -1), (-1, 1), (PORTS, 1), (1 << 70, 4), (0, 1 << 70)],
)
def test_what_no_instruction_has_exits(port, size):
    bitmap = IoBitmap()
    bitmap.open(0, PORTS)
    assert bitmap.exits(port, size)


@pytest.mark.parametrize(("port", "count"), [(-1, 1), (0, -1), (0xFFFF, 2), (0, PORTS + 1)])
def test_ports_that_are_not_there_cannot_be_opened(port, count):
    with pytest.raises(ValueError, match="ports are 0 to 0xffff"):
        IoBitmap().open(port, count)
