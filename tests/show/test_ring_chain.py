"""The scatter-gather picture: each buffer cut at its pages, memory in the order of addresses."""

from tests.show.looks import SVG, check_picture, words_of
from virtlab.memory import GuestMemory
from virtlab.show import chain_picture
from virtlab.show.ring_chain import MOST_PARTS, Part, descriptor_rows, parts_of
from virtlab.virtio.chain import Buffer, Chain
from virtlab.virtio.layouts import DESC, INDIRECT, NEXT, WRITE, packer

CHAIN = Chain(
    3, (Buffer(0x9010, 16, False), Buffer(0x5F00, 5000, True), Buffer(0x9020, 1, True)), 3
)


def test_a_buffer_is_cut_where_its_pages_end():
    assert parts_of(CHAIN) == [
        Part(0, 0x9010, 16, False),
        Part(1, 0x5F00, 256, True),
        Part(1, 0x6000, 4096, True),
        Part(1, 0x7000, 648, True),
        Part(2, 0x9020, 1, True),
    ]


def test_the_picture_has_the_chain_in_its_order_and_memory_in_that_of_addresses():
    drawn = chain_picture(CHAIN)
    root = check_picture(drawn)
    words = words_of(drawn)
    pages = [word for word in words if word.startswith("page ")]
    assert pages == [
        "page 0x5000: 0xf00 to 0xfff",
        "page 0x6000: 0x000 to 0xfff",
        "page 0x7000: 0x000 to 0x287",
        "page 0x9000: 0x010 to 0x01f",
        "page 0x9000: 0x020 to 0x020",
    ]
    assert [word for word in words if "the device" in word] == [
        "0  the device reads 16",
        "1  the device writes 5000",
        "2  the device writes 1",
    ]
    assert len(list(root.iter(f"{SVG}line"))) == 5
    assert "the chain of head 3" in words


def test_the_text_and_the_label_say_the_same():
    drawn = chain_picture(CHAIN, "One read")
    assert drawn.text.splitlines()[:2] == [
        "One read",
        "0  the device reads 16 @0x9010: page 0x9000: 0x010 to 0x01f",
    ]
    label = check_picture(drawn).attrib["aria-label"]
    assert label == "One read: 3 buffers, 16 bytes to read, 5001 to write"


def test_a_chain_longer_than_the_picture_is_cut_and_says_so():
    huge = Chain(0, (Buffer(0x1000, 1 << 32, True), Buffer(0x1000, 4, True)), 2)
    assert len(parts_of(huge)) == MOST_PARTS + 1
    drawn = chain_picture(huge)
    check_picture(drawn)
    assert "and more" in words_of(drawn)
    assert sum(word.startswith("page ") for word in words_of(drawn)) == MOST_PARTS
    many = Chain(0, tuple(Buffer(0x1000 * n, 4, False) for n in range(1, 30)), 29)
    check_picture(chain_picture(many))


def test_the_last_page_there_is():
    assert parts_of(Chain(0, (Buffer((1 << 64) - 16, 16, False),), 1)) == [
        Part(0, (1 << 64) - 16, 16, False)
    ]
    check_picture(chain_picture(Chain(0, (Buffer((1 << 64) - 16, 16, False),), 1)))


def test_descriptors_in_rows():
    memory = GuestMemory(0x1000)
    pack = packer(DESC).pack
    memory.write(0x100, pack(0x5000, 16, NEXT, 1) + pack(0x6000, 8, WRITE | INDIRECT, 7))
    table = descriptor_rows(memory, 0x100, 2)
    assert table.rows == (
        ("0", "0x5000", "16", "NEXT", "1"),
        ("1", "0x6000", "8", "WRITE INDIRECT", "-"),
    )
    assert table.caption == "2 descriptors at 0x100"
    assert descriptor_rows(memory, 0x100, 1, "mine").caption == "mine"
