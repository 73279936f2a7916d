"""The 16550A, clause by clause: PC16550D (TL/C/8652, June 1995). Section numbers are its own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from virtlab.backends import ModemLines, Terminal
from virtlab.bus import AddressSpace
from virtlab.clock import SECOND, Clock
from virtlab.devices.uart import (
    BI,
    DLL,
    DLM,
    FCR,
    FE,
    IER,
    IIR,
    LCR,
    LSR,
    MCR,
    MSR,
    OE,
    PE,
    RBR,
    REGISTERS,
    SCR,
    THR,
    Cause,
    Spaced,
    Uart16550,
    frame,
    named,
)
from virtlab.interrupts import IrqLine

LOOP = MCR.LOOP.mask
IDLE = LSR.THRE.mask | LSR.TEMT.mask
FIFOS_ON = FCR.FIFO_ENABLE.mask
ALL_CAUSES = IER.rw
FRAME = 86_805
"""ns of 8N1 at 115,200 baud."""


class Chip:
    """A UART, with its registers by name."""

    def __init__(self, **given):
        self.clock = given.setdefault("clock", None)
        self.edges = []
        given.setdefault("irq", IrqLine("irq4", self.edges.append))
        self.device = Uart16550(**given)
        self.irq, self.terminal = self.device.irq, self.device.terminal

    def get(self, reg):
        return self.device.read(reg.offset, 1)

    def put(self, reg, value):
        self.device.write(reg.offset, 1, value)

    def cause(self):
        return Cause(IIR.CAUSE.get(self.get(IIR)))

    def shown(self, reg):
        return self.device.peek()[reg.name]

    def receive(self, data, errors=0):
        for character in data:
            self.device.receiver.put(character, errors)

    def take(self, count):
        return bytes(self.get(RBR) for _ in range(count))


@pytest.fixture
def chip():
    return Chip()


@pytest.fixture
def looped():
    chip = Chip()
    chip.put(MCR, LOOP)
    chip.get(MSR)
    return chip


def timed(divisor=1, lcr=0b11):
    """A UART on a real line: 8N1 at 115,200 baud."""
    chip = Chip(clock=Clock(), timed=True)
    chip.put(LCR, LCR.DLAB.mask)
    chip.put(DLL, divisor & 0xFF)
    chip.put(DLM, divisor >> 8)
    chip.put(LCR, lcr)
    return chip


# -- table I: reset


def test_table_I_reset_values(chip):
    cleared = dict.fromkeys(("RBR", "THR", "IER", "DLM", "FCR", "LCR", "MCR", "SCR"), 0)
    inputs = MSR.CTS.mask | MSR.DSR.mask | MSR.DCD.mask
    assert chip.device.peek() == cleared | {"IIR": 0x01, "LSR": 0x60, "MSR": inputs, "DLL": 12}
    assert {reg.name: reg.reset for reg in REGISTERS} | {"MSR": inputs} == chip.device.peek()


def test_reset_undoes_everything(looped):
    before = Uart16550().peek()
    for offset in range(8):
        looped.device.write(offset, 1, 0xFF)
    looped.receive(b"abc", PE)
    looped.device.reset()
    assert looped.device.peek() == before
    assert not looped.irq.level


def test_reset_forgets_what_was_under_way():
    chip = timed()
    chip.put(FCR, FIFOS_ON)
    chip.receive(b"abc")
    chip.terminal.type("def")
    chip.put(THR, 0x41)
    chip.device.reset()
    chip.clock.advance(SECOND)
    assert chip.terminal.output == b""
    assert chip.get(LSR) == IDLE


def test_after_reset_a_line_that_types_is_heard():
    chip = timed()
    chip.terminal.type("lost")
    chip.device.reset()
    chip.put(LCR, 0b11)
    chip.terminal.type("x")
    chip.clock.advance(SECOND)
    assert chip.get(RBR) == ord("x")


# -- table II: which register answers


def test_table_II_twelve_registers_of_one_byte_at_eight_addresses():
    assert [(reg.name, reg.offset) for reg in REGISTERS] == [
        ("RBR", 0), ("THR", 0), ("DLL", 0), ("IER", 1), ("DLM", 1), ("IIR", 2), ("FCR", 2),
        ("LCR", 3), ("MCR", 4), ("LSR", 5), ("MSR", 6), ("SCR", 7),
    ]  # fmt: skip
    assert {reg.width for reg in REGISTERS} == {1}


@pytest.mark.parametrize("reg", [SCR, LCR, IER, MCR, DLL, DLM])
def test_table_II_readable_registers_keep_their_writable_bits(chip, reg):
    chip.put(LCR, LCR.DLAB.mask if reg in (DLL, DLM) else 0)
    for value in (0xFF, 0x00, 0x55, 0xAA) if reg is not LCR else (0x7F, 0x00, 0x55, 0x2A):
        chip.put(reg, value)
        assert chip.get(reg) == value & reg.rw


def test_dlab_turns_offsets_0_and_1_into_the_divisor_latch(chip):
    chip.put(IER, 0x05)
    chip.put(LCR, LCR.DLAB.mask)
    chip.put(DLL, 0x34)
    chip.put(DLM, 0x12)
    assert (chip.get(DLL), chip.get(DLM)) == (0x34, 0x12)
    chip.put(LCR, 0)
    assert (chip.get(RBR), chip.get(IER)) == (0x00, 0x05)
    assert chip.terminal.output == b""


@pytest.mark.parametrize("reg", [LSR, MSR])
def test_status_registers_ignore_writes(chip, reg):
    before = chip.shown(reg)
    chip.put(reg, before ^ 0xFF)
    assert chip.get(reg) == before


@pytest.mark.parametrize(
    ("offset", "read", "written", "with_dlab"),
    [(0, RBR, THR, DLL), (1, IER, IER, DLM), (2, IIR, FCR, None)]
    + [(reg.offset, reg, reg, None) for reg in (LCR, MCR, LSR, MSR, SCR)],
)
def test_each_access_has_one_register_by_direction_and_dlab(offset, read, written, with_dlab):
    assert named(offset, write=False, dlab=False) is read
    assert named(offset, write=True, dlab=False) is written
    assert named(offset, write=False, dlab=True) is (with_dlab or read)
    assert named(offset, write=True, dlab=True) is (with_dlab or written)


def test_wide_accesses_lose_what_eight_data_lines_cannot_carry(chip):
    chip.device.write(SCR.offset, 4, 0x12345678)
    assert chip.device.read(SCR.offset, 4) == 0x78
    assert chip.device.read(SCR.offset + 8, 1) == 0x78


# -- 8.1, 8.3: frames


@pytest.mark.parametrize(
    ("lcr", "half_bits"),
    [
        (0b00000, 14), (0b00011, 20), (0b00001, 16), (0b00010, 18),  # 1 start, 5 to 8 data, 1 stop
        (0b00100, 15), (0b00111, 22), (0b00101, 18),  # one and a half stop bits for 5 data bits
        (0b01011, 22), (0b11111, 24),  # parity
    ],
)  # fmt: skip
def test_8_1_the_bits_of_a_character_are_its_time(lcr, half_bits):
    baud = 9600
    assert frame(lcr, 12).time == half_bits * SECOND // (2 * baud)
    assert frame(lcr, 12).mask == (0x1F, 0x3F, 0x7F, 0xFF)[lcr & 3]


def test_8_3_a_divisor_of_zero_counts_all_sixteen_bits():
    assert frame(0b11, 0).time > frame(0b11, 0xFFFF).time


def test_8_1_on_a_line_only_the_data_bits_of_the_format_travel():
    chip = timed(lcr=0b01)  # six of them
    chip.put(THR, 0xFF)
    chip.clock.advance(SECOND)
    chip.terminal.type(b"\xff")
    chip.clock.advance(SECOND)
    assert (bytes(chip.terminal.output), chip.get(RBR)) == (b"\x3f", 0x3F)


def test_8_1_bit_6_break_holds_the_line_and_leaves_the_transmitter_running():
    chip = timed()
    chip.put(LCR, 0b11 | LCR.BREAK.mask)
    chip.put(THR, 0x00)
    assert not LSR.TEMT.get(chip.get(LSR))
    chip.clock.advance(FRAME)
    assert LSR.TEMT.get(chip.get(LSR))
    assert chip.terminal.output == b""
    chip.put(LCR, 0b11)
    chip.put(THR, 0x41)
    chip.clock.advance(FRAME)
    assert chip.terminal.output == b"A"


def test_8_1_bit_6_break_does_not_reach_the_loop():
    chip = timed()
    chip.put(MCR, LOOP)
    chip.put(LCR, 0b11 | LCR.BREAK.mask)
    chip.put(THR, 0x41)
    chip.clock.advance(FRAME)
    assert (chip.get(LSR), chip.get(RBR)) == (IDLE | LSR.DR.mask, 0x41)


# -- 8.4: line status


def test_8_4_bit_0_data_ready_until_all_is_read(chip):
    chip.put(FCR, FIFOS_ON)
    chip.receive(b"ab")
    for character in b"ab":
        assert LSR.DR.get(chip.get(LSR))
        assert chip.get(RBR) == character
    assert not LSR.DR.get(chip.get(LSR))


def test_8_4_bit_1_without_fifos_an_overrun_destroys_the_previous_character(chip):
    chip.receive(b"a")
    assert chip.get(LSR) == IDLE | LSR.DR.mask
    chip.receive(b"b")
    assert chip.get(LSR) == IDLE | LSR.DR.mask | OE
    assert chip.get(LSR) == IDLE | LSR.DR.mask
    assert chip.get(RBR) == ord("b")


def test_8_4_bit_1_with_fifos_the_seventeenth_character_is_lost(chip):
    chip.put(FCR, FIFOS_ON)
    chip.receive(bytes(range(16)))
    assert not chip.shown(LSR) & OE
    chip.receive(b"x")
    assert chip.get(LSR) & OE
    assert not chip.get(LSR) & OE
    assert chip.take(16) == bytes(range(16))
    assert not LSR.DR.get(chip.get(LSR))


@pytest.mark.parametrize("error", [PE, FE, BI])
def test_8_4_bits_2_to_4_an_error_shows_when_its_character_is_at_the_top(chip, error):
    chip.put(FCR, FIFOS_ON)
    chip.receive(b"a")
    chip.receive(b"\0", error)
    chip.receive(b"b")
    assert chip.get(LSR) == IDLE | LSR.DR.mask | LSR.FIFO_ERROR.mask
    assert chip.get(RBR) == ord("a")
    assert chip.get(LSR) == IDLE | LSR.DR.mask | LSR.FIFO_ERROR.mask | error
    assert chip.get(LSR) == IDLE | LSR.DR.mask
    assert chip.take(2) == b"\0b"


def test_8_4_bits_2_to_4_only_reading_lsr_clears_them(chip):
    chip.receive(b"a", PE)
    chip.receive(b"b", FE)
    chip.get(RBR)
    assert chip.get(LSR) == IDLE | OE | PE | FE
    assert chip.get(LSR) == IDLE


def test_8_4_bit_7_stays_while_a_later_character_has_an_error(chip):
    chip.put(FCR, FIFOS_ON)
    chip.receive(b"ab", PE)
    assert chip.get(LSR) & LSR.FIFO_ERROR.mask
    assert chip.get(LSR) & LSR.FIFO_ERROR.mask
    chip.get(RBR)
    assert chip.get(LSR) & LSR.FIFO_ERROR.mask
    assert not chip.get(LSR) & LSR.FIFO_ERROR.mask


def test_8_4_bit_7_is_about_errors_of_characters_and_of_fifo_mode(chip):
    chip.receive(b"a", PE)
    assert not chip.shown(LSR) & LSR.FIFO_ERROR.mask
    chip.put(FCR, FIFOS_ON)
    chip.receive(bytes(17))
    assert chip.shown(LSR) & (LSR.FIFO_ERROR.mask | OE) == OE


def test_8_4_bits_5_and_6_at_115200_baud():
    chip = timed()
    chip.put(THR, ord("a"))  # goes to the shift register at once
    assert chip.get(LSR) == LSR.THRE.mask
    chip.put(THR, ord("b"))
    assert chip.get(LSR) == 0
    chip.clock.advance(FRAME - 1)
    assert (chip.get(LSR), bytes(chip.terminal.output)) == (0, b"")
    chip.clock.advance(1)
    assert (chip.get(LSR), bytes(chip.terminal.output)) == (LSR.THRE.mask, b"a")
    chip.clock.advance(FRAME)
    assert (chip.get(LSR), bytes(chip.terminal.output)) == (IDLE, b"ab")


def test_8_4_bit_5_a_full_thr_takes_the_newest_character():
    chip = timed()
    for character in b"abc":
        chip.put(THR, character)
    chip.clock.advance(SECOND)
    assert chip.terminal.output == b"ac"


def test_8_4_bit_5_with_fifos_it_says_that_the_fifo_is_empty():
    chip = timed()
    chip.put(FCR, FIFOS_ON)
    for character in range(18):  # one in the shift register, sixteen in the FIFO, one lost
        chip.put(THR, character)
    for _ in range(16):
        assert chip.get(LSR) == 0
        chip.clock.advance(FRAME)
    assert chip.get(LSR) == LSR.THRE.mask
    chip.clock.advance(FRAME)
    assert chip.get(LSR) == IDLE
    assert chip.terminal.output == bytes(range(17))


def test_without_time_a_character_is_sent_as_soon_as_it_is_written(chip):
    chip.put(THR, ord("a"))
    assert chip.get(LSR) == IDLE
    assert chip.terminal.output == b"a"


# -- 8.5: FIFO control


@pytest.mark.parametrize(("code", "trigger"), [(0, 1), (1, 4), (2, 8), (3, 14)])
def test_8_5_the_four_trigger_levels(chip, code, trigger):
    chip.put(FCR, FCR.TRIGGER.put(FIFOS_ON, code))
    chip.put(IER, IER.ERBFI.mask)
    chip.receive(bytes(trigger - 1))
    assert chip.cause() is Cause.NONE
    chip.receive(b"x")
    assert chip.cause() is Cause.DATA_AVAILABLE
    chip.get(RBR)
    assert chip.cause() is Cause.NONE


def test_8_5_bit_0_the_other_bits_need_it(chip):
    chip.receive(b"a")
    chip.put(FCR, 0xFF & ~FIFOS_ON)
    assert chip.shown(FCR) == 0
    assert chip.get(LSR) == IDLE | LSR.DR.mask
    assert chip.get(RBR) == ord("a")


@pytest.mark.parametrize("into", [0, 1])
def test_8_5_bit_0_changing_it_empties_the_receiver(chip, into):
    chip.put(FCR, 1 - into)
    chip.receive(b"a", PE)
    chip.put(FCR, into)
    assert chip.get(LSR) == IDLE


def test_8_5_bit_0_writing_it_again_keeps_the_characters(chip):
    chip.put(FCR, FIFOS_ON)
    chip.receive(b"ab")
    chip.put(FCR, FCR.TRIGGER.put(FIFOS_ON, 2))
    assert chip.take(2) == b"ab"


def test_8_5_bit_1_clears_the_receiver_and_itself(chip):
    chip.put(FCR, FIFOS_ON)
    chip.receive(bytes(17), PE)
    chip.put(FCR, FIFOS_ON | FCR.RCVR_RESET.mask)
    assert chip.shown(FCR) == FIFOS_ON
    assert chip.get(LSR) == IDLE | OE  # the overrun did happen
    chip.receive(b"a")
    assert chip.get(RBR) == ord("a")


def test_8_5_bit_2_clears_the_transmitter_but_not_its_shift_register():
    chip = timed()
    chip.put(FCR, FIFOS_ON)
    for character in b"abc":
        chip.put(THR, character)
    chip.put(FCR, FIFOS_ON | FCR.XMIT_RESET.mask)
    assert chip.shown(FCR) == FIFOS_ON
    assert chip.get(LSR) == LSR.THRE.mask
    chip.clock.advance(SECOND)
    assert chip.terminal.output == b"a"


def test_8_5_each_reset_leaves_the_other_fifo_alone():
    chip = timed()
    chip.put(FCR, FIFOS_ON)
    chip.receive(b"r")
    for character in b"abc":
        chip.put(THR, character)
    chip.put(FCR, FIFOS_ON | FCR.RCVR_RESET.mask)
    assert chip.get(LSR) == 0
    chip.receive(b"r")
    chip.put(FCR, FIFOS_ON | FCR.XMIT_RESET.mask)
    assert chip.get(LSR) == LSR.THRE.mask | LSR.DR.mask


def test_8_5_bit_3_is_kept_though_its_pins_are_left_out(chip):
    chip.put(FCR, FIFOS_ON | FCR.DMA_MODE.mask)
    assert chip.shown(FCR) == FIFOS_ON | FCR.DMA_MODE.mask


def test_an_empty_receiver_reads_as_0_with_fifos_and_as_its_last_character_without(chip):
    chip.receive(b"a")
    assert chip.take(2) == b"aa"
    chip.put(FCR, FIFOS_ON)
    assert chip.get(RBR) == 0
    chip.receive(b"b")
    assert chip.take(2) == b"b\0"
    chip.put(FCR, 0)
    assert chip.get(RBR) == ord("a")


# -- 8.6, 8.7: interrupts


@pytest.mark.parametrize("on", [0, 1])
def test_8_6_bits_6_and_7_say_that_the_fifos_are_on(chip, on):
    chip.put(FCR, on)
    assert chip.get(IIR) == (0xC1 if on else 0x01)


def everything_pending():
    """A UART with all four kinds of interrupt pending and enabled."""
    chip = Chip()
    chip.receive(b"a", PE)
    chip.terminal.set_modem(ModemLines(cts=False))
    chip.put(IER, ALL_CAUSES)
    return chip


def test_table_IV_the_priorities_and_what_takes_each_back():
    chip = everything_pending()
    assert chip.cause() is Cause.LINE_STATUS
    chip.get(LSR)
    assert chip.cause() is Cause.DATA_AVAILABLE
    chip.get(RBR)
    assert chip.cause() is Cause.THR_EMPTY  # reading IIR took it back
    assert chip.cause() is Cause.MODEM_STATUS
    assert chip.irq.level
    chip.get(MSR)
    assert chip.cause() is Cause.NONE
    assert chip.edges == [True, False]


@pytest.mark.parametrize(
    ("enable", "cause"),
    [
        (IER.ELSI, Cause.LINE_STATUS),
        (IER.ERBFI, Cause.DATA_AVAILABLE),
        (IER.ETBEI, Cause.THR_EMPTY),
        (IER.EDSSI, Cause.MODEM_STATUS),
    ],
)
def test_8_7_each_cause_has_its_enable(enable, cause):
    chip = everything_pending()
    chip.put(IER, ALL_CAUSES & ~enable.mask)
    assert chip.cause() is not cause
    chip.put(IER, enable.mask)
    assert chip.cause() is cause
    chip.put(IER, 0)
    assert chip.cause() is Cause.NONE
    assert not chip.irq.level


def test_table_IV_writing_thr_takes_the_empty_interrupt_back_and_sending_gives_a_new_one(chip):
    chip.put(IER, IER.ETBEI.mask)
    assert chip.edges == [True]
    chip.put(THR, ord("a"))
    assert chip.edges == [True, False, True]  # an edge for the interrupt controller
    assert chip.cause() is Cause.THR_EMPTY
    assert chip.cause() is Cause.NONE


def test_table_IV_reading_iir_takes_it_back_only_if_that_is_what_it_says(chip):
    chip.receive(b"a")
    chip.put(IER, IER.ETBEI.mask | IER.ERBFI.mask)
    assert [chip.cause() for _ in range(3)] == [Cause.DATA_AVAILABLE] * 3
    chip.get(RBR)
    assert chip.cause() is Cause.THR_EMPTY


def test_8_4_bit_5_enabling_the_empty_interrupt_raises_it_each_time(chip):
    for _ in range(2):
        chip.put(IER, IER.ETBEI.mask)
        assert chip.cause() is Cause.THR_EMPTY
        chip.put(IER, IER.ETBEI.mask | IER.ERBFI.mask)  # it was on already: nothing new
        assert chip.cause() is Cause.NONE
        chip.put(IER, 0)


def test_enabling_the_empty_interrupt_while_thr_is_full_waits_for_it():
    chip = timed()
    chip.put(THR, ord("a"))
    chip.put(THR, ord("b"))
    chip.put(IER, IER.ETBEI.mask)
    assert chip.cause() is Cause.NONE
    chip.clock.advance(FRAME)
    assert chip.cause() is Cause.THR_EMPTY


def test_an_empty_interrupt_that_came_while_disabled_is_there_when_enabled(chip):
    chip.put(THR, ord("a"))
    assert not chip.irq.level
    chip.put(IER, IER.ETBEI.mask)
    assert chip.irq.level


def test_a_pattern_of_iir_that_has_no_meaning_is_no_cause():
    assert Cause(0b1111) is Cause.NONE


# -- 8.8: loopback, and the PC's gate


def test_8_8_loopback_returns_every_character_and_tells_the_terminal_nothing(looped):
    for character in range(256):
        looped.put(THR, character)
        assert looped.get(LSR) == IDLE | LSR.DR.mask
        assert looped.get(RBR) == character
    assert looped.terminal.output == b""


def test_8_8_in_loopback_the_terminal_is_not_heard(looped):
    looped.terminal.type("a")
    assert not LSR.DR.get(looped.get(LSR))
    looped.put(MCR, 0)  # it was patient
    assert looped.get(RBR) == ord("a")


def test_8_8_what_a_real_line_brings_during_loopback_is_lost():
    chip = timed()
    chip.put(MCR, LOOP)
    chip.terminal.type("a")
    chip.clock.advance(FRAME)
    chip.put(MCR, 0)
    chip.clock.advance(SECOND)
    assert not LSR.DR.get(chip.get(LSR))


@pytest.mark.parametrize("out", range(16))
def test_8_8_in_loopback_the_outputs_are_the_inputs(looped, out):
    looped.put(MCR, LOOP | out)
    outputs, inputs = MCR.decode(out), MSR.decode(looped.get(MSR))
    for output, into in (("RTS", "CTS"), ("DTR", "DSR"), ("OUT1", "RI"), ("OUT2", "DCD")):
        assert inputs[into] == outputs[output]


def test_8_8_in_loopback_the_modem_interrupt_works(looped):
    looped.put(IER, IER.EDSSI.mask)
    looped.put(MCR, LOOP | MCR.RTS.mask)
    assert looped.cause() is Cause.MODEM_STATUS
    assert looped.get(MSR) == MSR.CTS.mask | MSR.DCTS.mask
    assert looped.cause() is Cause.NONE


def test_8_8_in_loopback_the_terminals_lines_do_not_matter(looped):
    looped.terminal.set_modem(ModemLines(ri=True))
    assert looped.get(MSR) == 0


def test_8_8_the_loop_takes_its_time_too():
    chip = timed()
    chip.put(MCR, LOOP)
    chip.put(THR, ord("a"))
    assert not LSR.DR.get(chip.get(LSR))
    chip.clock.advance(FRAME)
    assert chip.get(RBR) == ord("a")


@pytest.mark.parametrize(
    ("mcr", "gated"), [(0, False), (MCR.OUT2.mask, True), (MCR.OUT2.mask | LOOP, False)]
)
def test_a_pc_lets_the_interrupt_through_only_with_out2(mcr, gated):
    for out2_gates, expected in ((True, gated), (False, True)):
        chip = Chip(out2_gates=out2_gates)
        chip.put(MCR, mcr)
        chip.put(IER, IER.ETBEI.mask)
        assert chip.irq.level is expected
        assert chip.cause() is Cause.THR_EMPTY  # the chip itself knows of no gate


# -- 8.9: modem status


ON = ModemLines(True, True, True, True)
OFF = ModemLines(False, False, False, False)


def test_8_9_the_inputs_are_the_terminals_lines():
    terminal = Terminal()
    terminal.modem = ModemLines(cts=True, dsr=False, ri=True, dcd=False)
    assert Chip(terminal=terminal).get(MSR) == MSR.CTS.mask | MSR.RI.mask


@pytest.mark.parametrize(
    ("before", "after", "deltas"),
    [
        (OFF, OFF._replace(cts=True), "DCTS"), (ON, ON._replace(cts=False), "DCTS"),
        (OFF, OFF._replace(dsr=True), "DDSR"), (ON, ON._replace(dsr=False), "DDSR"),
        (OFF, OFF._replace(dcd=True), "DDCD"), (ON, ON._replace(dcd=False), "DDCD"),
        (ON, ON._replace(ri=False), "TERI"), (OFF, OFF._replace(ri=True), ""),
        (ON, OFF, "DCTS DDSR TERI DDCD"), (OFF, ON, "DCTS DDSR DDCD"), (ON, ON, ""),
    ],
)  # fmt: skip
def test_8_9_a_change_sets_its_delta_until_msr_is_read(chip, before, after, deltas):
    chip.terminal.set_modem(before)
    chip.get(MSR)
    chip.terminal.set_modem(after)
    first, second = MSR.decode(chip.get(MSR)), MSR.decode(chip.get(MSR))
    for name in ("DCTS", "DDSR", "TERI", "DDCD"):
        assert first[name] == (name in deltas.split())
        assert second[name] == 0
    assert [second[name] for name in ("CTS", "DSR", "RI", "DCD")] == [*map(int, after)]


def test_8_9_a_delta_stays_when_the_line_goes_back(chip):
    chip.terminal.set_modem(ModemLines(cts=False))
    chip.terminal.set_modem(ModemLines(cts=True))
    assert chip.get(MSR) & 0x0F == MSR.DCTS.mask


# -- 8.11: FIFO interrupts in time


def listening(clock):
    chip = Chip(clock=clock)
    chip.put(LCR, LCR.DLAB.mask)
    chip.put(DLL, 1)
    chip.put(LCR, 0b11)
    chip.put(FCR, FCR.TRIGGER.put(FIFOS_ON, 3))
    chip.put(IER, IER.ERBFI.mask)
    return chip


def test_8_11_the_character_timeout_comes_after_four_character_times():
    chip = listening(Clock())
    chip.receive(b"ab")
    chip.clock.advance(4 * FRAME - 1)
    assert chip.cause() is Cause.NONE
    chip.clock.advance(1)
    assert chip.cause() is Cause.CHARACTER_TIMEOUT
    assert chip.get(IIR) == 0xCC
    assert chip.irq.level


def test_8_11_a_timeout_goes_when_one_character_is_read_and_comes_again():
    chip = listening(Clock())
    chip.receive(b"ab")
    chip.clock.advance(4 * FRAME)
    chip.get(RBR)
    assert chip.cause() is Cause.NONE
    chip.clock.advance(4 * FRAME)
    assert chip.cause() is Cause.CHARACTER_TIMEOUT
    chip.get(RBR)
    chip.clock.advance(SECOND)
    assert chip.cause() is Cause.NONE


@pytest.mark.parametrize("something", ["arrives", "is read"])
def test_8_11_the_timeout_starts_again_when_something(something):
    chip = listening(Clock())
    chip.receive(b"ab")
    chip.clock.advance(3 * FRAME)
    chip.receive(b"c") if something == "arrives" else chip.get(RBR)
    chip.clock.advance(3 * FRAME)
    assert chip.cause() is Cause.NONE
    chip.clock.advance(FRAME)
    assert chip.cause() is Cause.CHARACTER_TIMEOUT


def test_8_11_a_timeout_outranks_the_trigger_and_stays_until_read():
    chip = listening(Clock())
    chip.receive(b"a")
    chip.clock.advance(4 * FRAME)
    chip.receive(bytes(13))
    assert chip.cause() is Cause.CHARACTER_TIMEOUT
    chip.receive(b"b")
    chip.get(RBR)
    assert chip.cause() is Cause.DATA_AVAILABLE


def test_8_11_no_timeout_for_what_was_cleared_or_without_fifos():
    for fcr in (FIFOS_ON | FCR.RCVR_RESET.mask, 0):
        chip = listening(Clock())
        chip.receive(b"ab")
        chip.clock.advance(FRAME)
        chip.put(FCR, fcr)
        chip.clock.advance(SECOND)
        assert chip.cause() is Cause.NONE
    chip.receive(b"a")
    chip.get(RBR)
    chip.clock.advance(SECOND)
    assert chip.cause() is Cause.NONE


def test_8_11_a_pending_timeout_goes_with_the_characters():
    chip = listening(Clock())
    chip.receive(b"ab")
    chip.clock.advance(4 * FRAME)
    chip.put(FCR, FIFOS_ON | FCR.RCVR_RESET.mask)
    assert chip.cause() is Cause.NONE


def test_8_11_a_shorter_frame_means_a_shorter_timeout():
    chip = listening(Clock())
    chip.put(LCR, LCR.DLAB.mask)
    chip.put(DLM, 0x80)
    chip.put(LCR, 0b11)
    chip.receive(b"a")
    chip.put(LCR, LCR.DLAB.mask)
    chip.put(DLM, 0)
    chip.put(LCR, 0b11)
    chip.receive(b"b")
    chip.clock.advance(4 * FRAME)
    assert chip.cause() is Cause.CHARACTER_TIMEOUT


def test_a_guest_that_never_rests_cannot_pile_up_timers():
    chip = listening(Clock())
    chip.put(MCR, LOOP)
    for _ in range(1000):
        chip.put(THR, 0)
        chip.get(RBR)
    assert len(chip.clock._queue) <= 100


def test_8_11_a_character_alone_delays_the_empty_fifo_until_its_stop_bit():
    chip = timed()
    chip.put(FCR, FIFOS_ON)
    chip.put(IER, IER.ETBEI.mask)
    assert chip.cause() is Cause.THR_EMPTY  # "The first ... will be immediate"
    chip.put(THR, ord("a"))
    stop = FRAME // 10
    chip.clock.advance(FRAME - stop - 1)
    assert (chip.get(LSR), chip.cause()) == (0, Cause.NONE)
    chip.clock.advance(1)
    assert (chip.get(LSR), chip.cause()) == (LSR.THRE.mask, Cause.THR_EMPTY)
    chip.clock.advance(stop)
    assert chip.get(LSR) == IDLE


def test_8_11_a_second_character_alone_starts_that_delay_again():
    chip = timed()
    chip.put(FCR, FIFOS_ON)
    chip.put(THR, ord("a"))
    chip.put(THR, ord("b"))
    chip.clock.advance(FRAME)
    assert chip.get(LSR) == 0
    chip.clock.advance(FRAME - FRAME // 10)
    assert chip.get(LSR) == LSR.THRE.mask


def test_8_11_two_characters_together_end_the_delay():
    chip = timed()
    chip.put(FCR, FIFOS_ON)
    for character in b"abc":
        chip.put(THR, character)
    chip.clock.advance(2 * FRAME)
    assert chip.get(LSR) == LSR.THRE.mask  # as soon as "c" is in the shift register
    chip.clock.advance(FRAME)
    chip.put(THR, ord("d"))
    assert chip.get(LSR) == 0  # alone again


# -- the line


def test_without_time_the_far_end_waits_until_there_is_room(chip):
    chip.put(FCR, FIFOS_ON)
    typed = bytes(range(100))
    chip.terminal.type(typed)
    assert len(chip.device.receiver.received) == 16
    assert chip.take(100) == typed
    assert not chip.get(LSR) & OE


def test_without_time_the_far_end_goes_on_when_the_fifos_make_room(chip):
    chip.terminal.type("abc")
    chip.put(FCR, FIFOS_ON)  # the first one, in RBR, is lost
    assert chip.take(3) == b"bc\0"


def test_on_a_line_characters_come_one_by_one_and_may_overrun():
    chip = timed()
    chip.terminal.type("abc")
    chip.clock.advance(FRAME)
    assert chip.get(RBR) == ord("a")
    chip.clock.advance(2 * FRAME)
    assert chip.get(LSR) & OE
    assert chip.get(RBR) == ord("c")


def test_characters_typed_later_follow_those_on_the_line():
    chip = timed()
    chip.put(FCR, FIFOS_ON)
    chip.terminal.type("ab")
    chip.clock.advance(FRAME // 2)
    chip.terminal.type("c")
    chip.clock.advance(FRAME - FRAME // 2)
    assert len(chip.device.receiver.received) == 1
    chip.clock.advance(SECOND)
    assert chip.take(3) == b"abc"


def test_time_needs_a_clock():
    with pytest.raises(ValueError, match="needs a clock"):
        Uart16550(timed=True)


# -- in memory


def test_in_memory_the_registers_stand_apart(chip):
    memory = AddressSpace("memory", 32)
    memory.map(0x1000, 32, Spaced(chip.device, 2), width=4)
    memory.write(0x101C, 4, 0xFFFFFF5A)
    assert memory.read(0x101C, 4) == 0x5A
    assert memory.read(0x101C, 1) == 0x5A
    assert [memory.read(0x101C + i, 1) for i in (1, 2, 3)] == [0, 0, 0]
    memory.write(0x101D, 1, 0x77)
    assert memory.read(0x101C, 2) == 0x5A
    assert memory.read(0x1014, 8) == IDLE | 0xB0 << 32  # two registers


@pytest.mark.parametrize("shift", [-1, 4])
def test_registers_cannot_stand_at_any_distance(chip, shift):
    with pytest.raises(ValueError, match="bytes apart"):
        Spaced(chip.device, shift)


# -- any guest


class AnyGuest(RuleBasedStateMachine):
    """Whatever is done to a UART, from both sides: nothing raises, and IIR tells the truth."""

    kinds = (
        {},
        {"clock": Clock},
        {"clock": Clock, "timed": True},
        {"out2_gates": True},
    )

    @initialize(kind=st.sampled_from(kinds))
    def build(self, kind):
        kind = {name: value() if value is Clock else value for name, value in kind.items()}
        self.chip = Chip(**kind)
        self.uart, self.clock = self.chip.device, self.chip.clock
        self.thre_noticed = True

    @rule(offset=st.integers(-16, 1 << 20), size=st.sampled_from([1, 2, 4, 8]))
    def any_read(self, offset, size):
        assert 0 <= self.uart.read(offset, size) <= 0xFF
        self.thre_noticed |= offset & 7 == IIR.offset and self.before["THR_EMPTY"]

    @rule(offset=st.integers(0, 7))
    def read(self, offset):
        self.any_read(offset, 1)

    @rule(
        offset=st.integers(-16, 1 << 20),
        size=st.sampled_from([1, 2, 4, 8]),
        value=st.integers(0, (1 << 64) - 1),
    )
    def any_write(self, offset, size, value):
        fcr, ier, dlab = self.uart.fcr, self.uart.ier, LCR.DLAB.get(self.uart.lcr)
        self.uart.write(offset, size, value)
        value &= 0xFF
        match offset & 7:
            case THR.offset if not dlab:
                self.thre_noticed = False
            case IER.offset if not dlab and IER.ETBEI.get(value & ~ier):
                self.thre_noticed = False
            case FCR.offset:
                together = value | (FCR.XMIT_RESET.mask if (value ^ fcr) & FIFOS_ON else 0)
                if together & FCR.XMIT_RESET.mask and (value | fcr) & FIFOS_ON:
                    self.thre_noticed = False

    @rule(offset=st.integers(0, 7), value=st.integers(0, 255))
    def write(self, offset, value):
        self.any_write(offset, 1, value)

    @rule(value=st.sampled_from([0x00, 0x10, 0x1F, 0x08]))
    def modem_control(self, value):
        self.any_write(MCR.offset, 1, value)

    @rule(count=st.integers(1, 20))
    def send(self, count):
        for _ in range(count):
            self.any_write(THR.offset, 1, 0x55)

    @rule(data=st.binary(max_size=20))
    def type(self, data):
        self.chip.terminal.type(data)

    @rule(data=st.binary(max_size=20), errors=st.integers(0, 255))
    def receive(self, data, errors):
        self.chip.receive(data, errors)

    @rule(lines=st.builds(ModemLines, *[st.booleans()] * 4))
    def modem(self, lines):
        self.chip.terminal.set_modem(lines)

    @precondition(lambda self: self.clock is not None)
    @rule(ns=st.integers(0, 10_000_000))
    def time_passes(self, ns):
        self.clock.advance(ns)

    @rule()
    def master_reset(self):
        self.uart.reset()
        self.thre_noticed = True

    @invariant()
    def looking_changes_nothing(self):
        assert self.uart.peek() == self.uart.peek()

    @invariant()
    def no_fifo_holds_more_than_it_can(self):
        limit = 16 if self.uart.peek()["FCR"] & 1 else 1
        assert len(self.uart.receiver.received) <= limit
        assert len(self.uart.transmitter.waiting) <= limit

    @invariant()
    def plain_registers_read_the_same_twice(self):
        for offset in (LCR.offset, MCR.offset, SCR.offset):
            assert self.uart.read(offset, 1) == self.uart.read(offset, 1)

    @invariant()
    def status_is_consistent(self):
        seen = self.uart.peek()
        assert seen["MCR"] & 0xE0 == seen["IER"] & 0xF0 == seen["IIR"] & 0x30 == 0
        assert LSR.DR.get(seen["LSR"]) == bool(self.uart.receiver.received)
        if LSR.TEMT.get(seen["LSR"]):
            assert LSR.THRE.get(seen["LSR"])
        if not seen["FCR"] & 1:
            assert not seen["LSR"] & LSR.FIFO_ERROR.mask
        if not self.uart.timed:
            assert seen["LSR"] & IDLE == IDLE
            assert self.uart.transmitter.pending is not self.thre_noticed

    @invariant()
    def iir_is_the_first_of_the_table_and_the_line_follows(self):
        seen = self.uart.peek()
        lsr, fcr = seen["LSR"], seen["FCR"]
        count, trigger = len(self.uart.receiver.received), (1, 4, 8, 14)[fcr >> 6]
        pending = {
            0b0110: lsr & 0b11110 and seen["IER"] & 4,
            0b1100: self.uart.receiver.timed_out and seen["IER"] & 1,
            0b0100: (count >= trigger if fcr & 1 else lsr & 1) and seen["IER"] & 1,
            0b0010: self.uart.transmitter.pending and seen["IER"] & 2,
            0b0000: seen["MSR"] & 0x0F and seen["IER"] & 8,
        }
        first = next((code for code, is_on in pending.items() if is_on), 0b0001)
        assert seen["IIR"] == (0xC0 if fcr & 1 else 0) | first
        through = seen["MCR"] & 0x18 == 0x08 if self.uart.out2_gates else True
        assert self.chip.irq.level == (first != 0b0001 and through)
        self.before = {"THR_EMPTY": first == 0b0010}


TestAnyGuest = pytest.mark.volume(AnyGuest.TestCase)
TestAnyGuest.settings = settings(max_examples=60, stateful_step_count=40)


@given(st.lists(st.tuples(st.integers(0, 7), st.none() | st.integers(0, 255)), max_size=60))
def test_any_accesses_through_the_bus_equal_those_to_the_chip(accesses):
    alone, mapped = Uart16550(), Uart16550()
    ports = AddressSpace("port", 16, max_size=4)
    ports.map(0x3F8, 8, mapped)
    for offset, value in accesses:
        if value is None:
            assert ports.read(0x3F8 + offset, 1) == alone.read(offset, 1)
        else:
            ports.write(0x3F8 + offset, 1, value)
            alone.write(offset, 1, value)
    assert alone.peek() == mapped.peek()
