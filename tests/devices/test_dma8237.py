"""The two 8237A: registers, transfers, terminal count. Intel 8237A data sheet (231466)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.bus import AddressSpace
from virtlab.devices.dma8237 import PAGE_OFFSETS, REGISTERS, DmaPair, Mode
from virtlab.memory import GuestMemory

COMMAND, STATUS, REQUEST, MASK, MODE = 8, 8, 9, 10, 11
CLEAR_FLIP_FLOP, TEMPORARY, MASTER_CLEAR, CLEAR_MASK, ALL_MASKS = 12, 13, 13, 14, 15
DEMAND, SINGLE, BLOCK, CASCADE = (mode << 6 for mode in Mode)
VERIFY, WRITE, READ, ILLEGAL = 0x00, 0x04, 0x08, 0x0C
AUTO, DOWN = 0x10, 0x20
DISABLE, ROTATING = 0x04, 0x10
RAM = 1 << 20
FIRST, PAGES, SECOND = 0x00, 0x80, 0xC0


class ByteSource:
    """A tiny ISA card: it has bytes, and wants them in memory."""

    def __init__(self, channel, data=b"", log=None):
        self.channel, self.data, self.ends, self.served = channel, data, 0, 0
        self.log = [] if log is None else log
        channel.attach(self.serve, self.ended)

    def start(self):
        self.channel.request(True)

    def serve(self):
        self.served += 1
        self.log.append(self.channel.number)
        taken = self.channel.write(self.data)
        self.data = self.data[taken:]
        if not self.data:
            self.channel.request(False)

    def ended(self):
        self.ends += 1
        self.channel.request(False)


class Board:
    """Two chips on 1 MiB, with channel 4 open, and the ports as a PC has them."""

    def __init__(self, cascade=True, ram=RAM):
        self.ram = GuestMemory(ram)
        self.pair = DmaPair(self.ram)
        self.ports = AddressSpace("port", 16, max_size=4)
        self.ports.map(FIRST, 16, self.pair.first, "dma 1")
        self.ports.map(PAGES, 16, self.pair.pages, "dma pages")
        self.ports.map(SECOND, 32, self.pair.second, "dma 2")
        if cascade:
            self.put(4, MODE, CASCADE)
            self.put(4, MASK, 0)

    def port(self, channel, register):
        return FIRST + register if channel < 4 else SECOND + 2 * register

    def put(self, channel, register, value):
        self.ports.write(self.port(channel, register), 1, value)

    def get(self, channel, register):
        return self.ports.read(self.port(channel, register), 1)

    def put_counter(self, channel, register, value):
        self.put(channel, CLEAR_FLIP_FLOP, 0)
        self.put(channel, register, value & 0xFF)
        self.put(channel, register, value >> 8)

    def counter(self, channel, register):
        self.put(channel, CLEAR_FLIP_FLOP, 0)
        return self.get(channel, register) | self.get(channel, register) << 8

    def program(self, channel, address, count, mode, page=0, unmask=True):
        """`address` and `count` as the counters have them; the channel is unmasked last."""
        n = channel & 3
        self.put(channel, MASK, 4 | n)
        self.put(channel, MODE, mode | n)
        self.put_counter(channel, 2 * n, address)
        self.put_counter(channel, 2 * n + 1, count)
        self.ports.write(PAGES + PAGE_OFFSETS[channel], 1, page)
        if unmask:
            self.put(channel, MASK, n)

    def now(self, channel):
        n = channel & 3
        return self.counter(channel, 2 * n), self.counter(channel, 2 * n + 1)


@pytest.fixture
def board():
    return Board()


# -- registers


def test_a_counter_goes_in_two_halves_low_byte_first(board):
    board.put(1, 2, 0x34)
    board.put(1, 2, 0x12)
    assert board.pair.first.channels[1].address == 0x1234
    assert [board.get(1, 2) for _ in range(3)] == [0x34, 0x12, 0x34]


def test_the_flip_flop_is_one_for_the_chip(board):
    board.put(0, 0, 0x11)
    board.put(3, 7, 0x22)
    assert board.pair.first.channels[0].address == 0x0011
    assert board.pair.first.channels[3].count == 0x2200
    board.put(0, 0, 0x33)
    board.put(0, CLEAR_FLIP_FLOP, 0xFF)
    board.put(0, 0, 0x44)
    assert board.pair.first.channels[0].address == 0x0044


def test_base_and_current_are_written_together_half_by_half(board):
    board.put(0, 0, 0x11)
    channel = board.pair.first.channels[0]
    assert (channel.base_address, channel.address) == (0x11, 0x11)


def test_the_second_chip_has_every_other_port(board):
    board.ports.write(0xC4, 1, 0x34)
    board.ports.write(0xC5, 1, 0x12)
    assert board.pair.channel(5).address == 0x1234
    board.ports.write(0xD8, 1, 0)
    assert [board.ports.read(0xC4, 1), board.ports.read(0xC5, 1)] == [0x34, 0x12]


def test_masks_one_all_and_none(board):
    assert board.get(0, 9) == 0xF
    board.put(0, CLEAR_MASK, 0)
    assert board.get(0, 9) == 0
    board.put(0, MASK, 4 | 2)
    assert board.get(0, 9) == 0b0100
    board.put(0, ALL_MASKS, 0xFB)
    assert board.get(0, 9) == 0b1011
    board.put(0, MASK, 3)
    assert board.get(0, 9) == 0b0011


def test_master_clear_is_reset(board):
    board.program(1, 0x1234, 0x5678, SINGLE | WRITE)
    board.put(1, REQUEST, 4 | 1)
    board.put(1, COMMAND, DISABLE)
    board.put(1, 2, 0)
    board.put(1, MASTER_CLEAR, 0)
    assert (board.get(1, 9), board.get(1, STATUS)) == (0xF, 0)
    assert board.pair.first.enabled
    assert board.pair.first.flip_flop == 0
    assert board.now(1) == (0x1200, 0x5678), "counters stay"


def test_reset_clears_both_chips_and_leaves_the_pages(board):
    board.ports.write(0x83, 1, 7)
    board.put(5, CLEAR_MASK, 0)
    board.pair.reset()
    assert (board.get(0, 9), board.get(5, 9), board.ports.read(0x83, 1)) == (0xF, 0xF, 7)


def test_what_is_not_readable_reads_as_zero(board):
    assert [board.get(0, n) for n in (10, 11, 12, TEMPORARY, 14, 15)] == [0] * 6


def test_the_page_registers_are_sixteen_bytes(board):
    for n in range(16):
        board.ports.write(PAGES + n, 1, 0xA0 + n)
    assert [board.ports.read(PAGES + n, 1) for n in range(16)] == list(range(0xA0, 0xB0))
    assert [board.pair.pages.of(n) & 0xF for n in range(8)] == [7, 3, 1, 2, 15, 11, 9, 10]
    assert board.pair.pages.peek()["PAGE2"] == 0xA1


def test_status_shows_who_requests_also_where_it_is_masked(board):
    board.pair.channel(2).request(True)
    board.put(0, REQUEST, 4 | 1)
    assert board.get(0, STATUS) == 0b0110_0000
    board.put(0, REQUEST, 1)
    board.pair.channel(2).request(False)
    assert board.get(0, STATUS) == 0


def test_peek_has_every_register_and_changes_nothing(board):
    board.program(0, 0x1234, 5, SINGLE | READ)
    chip = board.pair.first
    first = chip.peek()
    assert first == chip.peek()
    assert {reg.name for reg in REGISTERS} <= first.keys()
    assert (first["ADDRESS0"], first["COUNT0"], first["MODE0"]) == (0x1234, 5, SINGLE | READ)
    assert first["READ_MASK"] == 0b1110
    assert repr(chip.channels[0]) == "DmaChannel(0, open, 0x1234, 0x0005)"


@pytest.mark.parametrize("n", [-1, 4, 8])
def test_a_device_cannot_have_the_cascade_channel(board, n):
    with pytest.raises(ValueError, match="not"):
        board.pair.channel(n)


# -- transfers


def test_a_byte_source_fills_memory(board):
    card = ByteSource(board.pair.channel(1), b"hello, memory")
    board.program(1, 0x2345, 12, SINGLE | WRITE, page=0x03)
    card.start()
    assert board.ram.read(0x32345, 14) == b"hello, memory\0"
    assert (card.ends, card.data) == (1, b"")
    assert board.now(1) == (0x2345 + 13, 0xFFFF)
    assert board.get(1, 9) == 0b1111, "masked at its end"
    assert board.get(1, STATUS) == 0b0010
    assert board.get(1, STATUS) == 0, "reading cleared it"


def test_a_read_transfer_gives_the_device_what_is_in_memory(board):
    board.ram.write(0x10, b"0123456789")
    channel = board.pair.channel(3)
    board.program(3, 0x10, 9, DEMAND | READ)
    channel.request(True)
    assert channel.read(4) == b"0123"
    assert channel.remaining == 6
    assert channel.read(100) == b"456789"
    assert channel.read(1) == b""


def test_terminal_count_comes_with_the_last_transfer(board):
    """Current Word Register: one more than its number; TC when it goes from 0 to FFFFh."""
    channel = board.pair.channel(1)
    board.program(1, 0x100, 3, SINGLE | WRITE)
    channel.request(True)
    for taken, reached, count in [(1, 0, 2), (2, 0, 0), (1, 0b10, 0xFFFF)]:
        assert channel.write(b"a" * taken) == taken
        assert (board.get(1, STATUS) & 0xF, board.now(1)[1]) == (reached, count)


def test_the_device_waits_until_the_guest_unmasks_it(board):
    card = ByteSource(board.pair.channel(1), b"x")
    board.program(1, 0x100, 0, SINGLE | WRITE, unmask=False)
    card.start()
    assert (card.served, board.get(1, STATUS)) == (0, 0b0010_0000)
    board.put(1, MASK, 1)
    assert (card.served, board.ram.read(0x100, 1)) == (1, b"x")


@pytest.mark.parametrize("mode", [SINGLE | VERIFY, BLOCK | VERIFY])
def test_verify_counts_and_leaves_memory_alone(board, mode):
    channel = board.pair.channel(1)
    board.program(1, 0x100, 9, mode)
    channel.request(True)
    assert channel.write(b"abc") == 3
    assert channel.read(3) == b"\xff\xff\xff"
    assert board.ram.read(0x100, 3) == bytes(3)
    assert board.now(1) == (0x106, 3)


@pytest.mark.parametrize("mode", [SINGLE | ILLEGAL, CASCADE | WRITE, SINGLE | READ])
def test_a_device_that_writes_moves_nothing_where_the_channel_is_not_set_so(board, mode):
    channel = board.pair.channel(1)
    board.program(1, 0x100, 9, mode)
    channel.request(True)
    assert channel.write(b"abc") == 0
    assert board.now(1) == (0x100, 9)


def test_a_device_that_reads_moves_nothing_where_the_channel_writes(board):
    channel = board.pair.channel(1)
    board.program(1, 0x100, 9, SINGLE | WRITE)
    channel.request(True)
    assert channel.read(3) == b""


def test_without_dreq_nothing_moves(board):
    channel = board.pair.channel(1)
    board.program(1, 0x100, 9, SINGLE | WRITE)
    assert channel.write(b"abc") == 0


def test_a_block_that_has_begun_goes_on_without_dreq(board):
    channel = board.pair.channel(1)
    board.program(1, 0x100, 5, BLOCK | WRITE)
    channel.request(True)
    channel.write(b"ab")
    channel.request(False)
    assert channel.write(b"cdefgh") == 4
    assert channel.write(b"x") == 0
    assert board.ram.read(0x100, 7) == b"abcdef\0"


def test_a_new_mode_ends_a_block_that_has_begun(board):
    channel = board.pair.channel(1)
    board.program(1, 0x100, 5, BLOCK | WRITE)
    channel.request(True)
    channel.write(b"ab")
    channel.request(False)
    board.put(1, MODE, BLOCK | WRITE | 1)
    assert channel.write(b"c") == 0


def test_the_address_never_carries_into_the_page(board):
    channel = board.pair.channel(0)
    board.program(0, 0xFFFE, 3, SINGLE | WRITE, page=0x02)
    channel.request(True)
    channel.write(b"abcd")
    assert board.ram.read(0x2FFFE, 4) == b"ab\0\0"
    assert board.ram.read(0x20000, 2) == b"cd"
    assert board.now(0)[0] == 0x0002


def test_decrement_goes_down_and_wraps(board):
    channel = board.pair.channel(0)
    board.program(0, 0x0001, 3, SINGLE | WRITE | DOWN, page=0x02)
    channel.request(True)
    channel.write(b"abcd")
    assert board.ram.read(0x20000, 2) == b"ba"
    assert board.ram.read(0x2FFFE, 2) == b"dc"
    assert board.now(0)[0] == 0xFFFD
    board.program(0, 0x0001, 3, SINGLE | READ | DOWN, page=0x02)
    assert channel.read(4) == b"abcd"


def test_a_16_bit_channel_counts_words_and_ignores_bit_0_of_its_page(board):
    channel = board.pair.channel(6)
    board.program(6, 0x0001, 1, SINGLE | WRITE, page=0x03)
    channel.request(True)
    assert channel.write(b"abcde") == 4
    assert board.ram.read(0x20002, 4) == b"abcd"
    assert board.now(6) == (0x0003, 0xFFFF)
    board.program(6, 0x0002, 1, SINGLE | READ | DOWN, page=0x02)
    assert channel.read(5) == b"cdab"
    board.program(6, 0x8000, 0, SINGLE | WRITE, page=0x02)
    channel.write(b"xy")
    assert board.ram.read(0x30000, 2) == b"xy"


def test_half_a_word_does_not_move(board):
    channel = board.pair.channel(5)
    board.program(5, 0, 1, SINGLE | WRITE)
    channel.request(True)
    assert channel.write(b"a") == 0


def test_autoinitialize_begins_anew_and_stays_open(board):
    card = ByteSource(board.pair.channel(1), b"abcdef")
    board.program(1, 0x100, 3, SINGLE | WRITE | AUTO)
    card.start()
    assert board.now(1) == (0x100, 3)
    assert board.get(1, 9) == 0b1101
    assert board.get(1, STATUS) == 0b0010
    card.start()
    assert board.ram.read(0x100, 4) == b"efcd"
    assert board.now(1) == (0x102, 1)


def test_a_disabled_chip_moves_nothing(board):
    card = ByteSource(board.pair.channel(1), b"x")
    board.program(1, 0x100, 0, SINGLE | WRITE)
    board.put(1, COMMAND, DISABLE)
    card.start()
    assert card.served == 0
    board.put(1, COMMAND, 0)
    assert card.served == 1


@pytest.mark.parametrize(
    ("register", "closed", "opened"),
    [(MASK, 4, 0), (MODE, SINGLE, CASCADE), (COMMAND, DISABLE, 0)],
    ids=["masked", "another mode", "disabled"],
)
def test_the_first_chip_works_only_through_channel_4(board, register, closed, opened):
    """Cascade Mode: its request comes in at a channel of the second chip."""
    card = ByteSource(board.pair.channel(1), b"x")
    board.program(1, 0x100, 0, SINGLE | WRITE)
    board.put(4, register, closed)
    card.start()
    assert card.served == 0
    board.put(4, register, opened)
    assert card.served == 1


def test_the_second_chip_needs_no_cascade():
    board = Board(cascade=False)
    card = ByteSource(board.pair.channel(7), b"ab")
    board.program(7, 0x100, 0, SINGLE | WRITE)
    card.start()
    assert board.ram.read(0x200, 2) == b"ab"


@pytest.mark.parametrize(
    ("command", "order"), [(0, [0, 1, 2, 3]), (ROTATING, [2, 3, 0, 1])], ids=["fixed", "rotating"]
)
def test_priority(board, command, order):
    """Rotating: the channel that had the bus last is last in line."""
    log = []
    board.put(0, COMMAND, command)
    cards = [ByteSource(board.pair.channel(n), b"xy", log) for n in range(4)]
    for n in range(4):
        board.program(n, 0x100 * n, 0, SINGLE | WRITE | AUTO, unmask=n == 1)
    cards[1].start()
    board.put(0, ALL_MASKS, 0xF)
    for card in cards:
        card.start()
    board.put(0, CLEAR_MASK, 0)
    assert log == [1, *order]


# -- requests of software


def test_software_requests_a_block_and_no_mask_stops_it(board):
    """Request Register: non-maskable; cleared at TC. The empty bus is all ones."""
    board.program(1, 0x100, 3, BLOCK | WRITE, unmask=False)
    board.put(1, REQUEST, 4 | 1)
    assert board.ram.read(0x100, 5) == b"\xff\xff\xff\xff\0"
    assert board.now(1) == (0x104, 0xFFFF)
    assert board.get(1, STATUS) == 0b0000_0010


def test_software_reads_a_block_into_nowhere(board):
    board.program(6, 0x100, 3, BLOCK | READ)
    board.put(6, REQUEST, 4 | 2)
    assert board.now(6) == (0x104, 0xFFFF)


def test_software_requests_a_block_of_a_device(board):
    card = ByteSource(board.pair.channel(1), b"abcd")
    board.program(1, 0x100, 3, BLOCK | WRITE, unmask=False)
    board.put(1, REQUEST, 4 | 1)
    assert (board.ram.read(0x100, 4), card.ends) == (b"abcd", 1)


@pytest.mark.parametrize("mode", [SINGLE, DEMAND, CASCADE])
def test_a_request_of_software_waits_for_block_mode(board, mode):
    board.program(1, 0x100, 3, mode | WRITE)
    board.put(1, REQUEST, 4 | 1)
    assert (board.get(1, STATUS), board.now(1)) == (0b0010_0000, (0x100, 3))


def test_an_illegal_type_moves_nothing_for_software_either(board):
    board.program(1, 0x100, 3, BLOCK | ILLEGAL)
    board.put(1, REQUEST, 4 | 1)
    assert board.now(1) == (0x100, 3)


# -- a hostile guest, and a memory that is not there


def test_a_device_is_not_called_from_inside_itself(board):
    channel, calls = board.pair.channel(1), []

    def serve():
        calls.append(1)
        channel.request(True)

    channel.attach(serve)
    board.program(1, 0, 0, SINGLE | WRITE)
    channel.request(True)
    assert calls == [1]


def test_where_no_memory_is_writes_are_lost_and_reads_are_ones(board):
    channel = board.pair.channel(1)
    board.program(1, 0xFFFE, 3, SINGLE | WRITE, page=0xFF)
    channel.request(True)
    assert channel.write(b"abcd") == 4
    assert board.get(1, STATUS) & 0xF == 0b0010
    board.program(1, 0xFFFE, 3, SINGLE | READ, page=0x10)
    assert channel.read(9) == b"\xff\xff\xff\xff"


def test_a_fault_loses_no_more_than_a_page():
    board = Board(ram=[(0, 0x1000), (0x2000, 0x1000)])
    channel = board.pair.channel(0)
    board.program(0, 0, 0x2FFF, SINGLE | WRITE)
    channel.request(True)
    assert channel.write(b"\x11" * 0x3000) == 0x3000
    assert board.ram.read(0, 0x1000) == board.ram.read(0x2000, 0x1000) == b"\x11" * 0x1000


PORTS = [*range(16), *range(0x80, 0x90), *range(0xC0, 0xE0)]

steps = st.lists(
    st.tuples(
        st.sampled_from(["in", "out", "out", "dreq", "write", "read"]),
        st.sampled_from(PORTS),
        st.sampled_from([1, 2, 4]),
        st.integers(0, 0xFFFF_FFFF),
    ),
    max_size=40,
)


@given(steps)
def test_no_access_raises_out_of_the_bus_or_hangs(steps):
    board = Board()
    channels = [board.pair.channel(n) for n in (0, 1, 5)]
    ByteSource(channels[1], b"abc" * 50)
    for verb, port, size, value in steps:
        channel = channels[port % 3]
        match verb:
            case "in":
                assert 0 <= board.ports.read(port, size) < 1 << 8 * size
            case "out":
                board.ports.write(port, size, value)
            case "dreq":
                channel.request(bool(value & 1))
            case "write":
                assert 0 <= channel.write(bytes(value & 0xFFFF)) <= value & 0xFFFF
            case "read":
                assert len(channel.read(value & 0x3FFFF)) <= 0x20000
    for chip in (board.pair.first, board.pair.second):
        for channel in chip.channels:
            assert 0 <= channel.address <= 0xFFFF
            assert 0 <= channel.count <= 0xFFFF


@given(
    st.integers(0, 0xFFFF),
    st.lists(st.integers(0, 40), max_size=3),
    st.integers(0, 130),
    st.booleans(),
    st.sampled_from([1, 5]),
)
def test_pieces_are_the_same_as_one_transfer(address, lengths, count, down, number):
    """However a device cuts its bytes, they land in the same place."""
    boards, data = (Board(), Board()), bytes(range(1, 241))
    width = 1 if number < 4 else 2
    lengths = [length * width for length in lengths]
    for board in boards:
        board.program(number, address, count, SINGLE | WRITE | (DOWN if down else 0), page=2)
        board.pair.channel(number).request(True)
    boards[0].pair.channel(number).write(data[: sum(lengths)])
    at = 0
    for length in lengths:
        boards[1].pair.channel(number).write(data[at : at + length])
        at += length
    assert boards[0].ram.read(0x20000, 0x20000) == boards[1].ram.read(0x20000, 0x20000)
    assert boards[0].now(number) == boards[1].now(number)


@given(st.integers(-16, 40), st.integers(-1, 40), st.integers())
def test_called_directly_it_takes_any_offset_and_size(offset, size, value):
    pair = DmaPair(GuestMemory(4096))
    for device in (pair.first, pair.second, pair.pages):
        device.write(offset, size, value)
        assert device.read(offset, size) >= 0


def test_every_register_names_its_clause():
    assert all(reg.spec.startswith("8237A ") for reg in REGISTERS)
