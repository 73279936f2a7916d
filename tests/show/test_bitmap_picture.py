"""The drawn bitmap: its bits are the page's, and both readings are written beside them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.show.looks import SVG, check_picture, words_of
from virtlab.show.bitmap_editor import WATCHED
from virtlab.show.bitmap_picture import EXIT, OPEN, bitmap_picture, byte_of, page_and_index
from virtlab.vmm.io_bitmap import PORTS, IoBitmap


def with_open(ports):
    bitmap = IoBitmap()
    for port in ports:
        bitmap.open(port)
    return bitmap


@settings(max_examples=25)
@given(st.sets(st.sampled_from([port + bit for port in WATCHED for bit in range(8)])))
def test_each_cell_shows_its_bit_with_the_highest_port_on_the_left(ports):
    bitmap = with_open(ports)
    drawn = bitmap_picture(bitmap, WATCHED, chosen=0x60, used=[0x64])
    places = [float(text.attrib["x"]) for text in check_picture(drawn).iter(f"{SVG}text")]
    words = words_of(drawn)
    for first in WATCHED:
        start = words.index(f"{first:X}")
        assert words[start : start + 16 : 2] == [f"{first + bit:X}" for bit in range(8)]
        assert places[start : start + 16] == sorted(places[start : start + 16], reverse=True)
        bits = words[start + 1 : start + 16 : 2]
        assert bits == [str(bitmap.bit(first + bit)) for bit in range(8)]


def test_the_text_says_the_same_and_both_readings():
    drawn = bitmap_picture(with_open([0x3F8]), {0x3FA: "UART", 0x8000: "nobody"}, "Bits")
    assert drawn.text.splitlines() == [
        "Bits",
        "UART    A[0x07f]  ports 0x3f8-0x3ff     11111110  0xfe",
        "nobody  B[0x000]  ports 0x8000-0x8007   11111111  0xff",
        EXIT,
        OPEN,
    ]
    assert [word for word in words_of(drawn) if word in (EXIT, OPEN)] == [EXIT, OPEN]
    assert "1 exits" in EXIT
    assert "OFF" in EXIT
    assert "ON" in OPEN


@given(st.integers(0, PORTS - 1))
def test_the_byte_of_a_port_has_its_bit(port):
    bitmap = with_open([port])
    page, index = page_and_index(port)
    assert (bitmap.a if page == "A" else bitmap.b)[index] == 0xFF & ~(1 << port % 8)
    assert byte_of(bitmap, port) == 0xFF & ~(1 << port % 8)


def test_the_chosen_row_and_the_used_ports_look_different():
    plain = bitmap_picture(IoBitmap(), WATCHED)
    assert plain.svg != bitmap_picture(IoBitmap(), WATCHED, chosen=0x60).svg
    assert plain.svg != bitmap_picture(IoBitmap(), WATCHED, used=[0x60]).svg
