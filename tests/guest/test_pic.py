"""The driver of the 8259As, in every world. A key press is the interrupt."""

import pytest

from virtlab.guest.pic import Pics
from virtlab.guest.ps2 import Ps2
from virtlab.machine import lesson_pc

SHORT = 20_000_000
"""Nanoseconds to wait for an interrupt that must not come."""


@pytest.fixture
def pics(world):
    driver = Pics(world.cpu)
    driver.remap()
    return driver


@pytest.fixture
def keyboard(world):
    """The keyboard, started, and its interrupt allowed in the controller."""
    driver = Ps2(world.cpu)
    driver.start()
    return driver


# -- in every world


def test_remap_masks_everything(pics):
    assert pics.masks == 0xFFFF
    assert pics.in_service == 0


def test_masks_are_bits_of_irqs(pics):
    pics.unmask(1)
    assert pics.masks == 0xFFFD
    pics.unmask(12)
    assert pics.masks == 0xEFF9
    pics.mask(1)
    assert pics.masks == 0xEFFB
    pics.masks = 0x1234
    assert pics.masks == 0x1234


def test_an_interrupt_is_served_and_ended(world, pics, keyboard):
    pics.remap()
    pics.unmask(1)
    world.keyboard.press("A")
    assert pics.next_irq() == 1
    assert pics.in_service == 0x0002
    keyboard.service()
    pics.eoi(1)
    assert pics.in_service == 0
    assert pics.next_irq(SHORT) is None


def test_a_slaves_interrupt_is_ended_at_both(world, pics, keyboard):
    pics.remap()
    pics.unmask(12)
    world.mouse.move(1, 1)
    assert pics.next_irq() == 12
    assert pics.in_service == 0x1004
    keyboard.service()
    pics.eoi(12)
    assert pics.in_service == 0


def test_a_masked_interrupt_is_requested_and_does_not_come(world, pics, keyboard):
    pics.remap()
    world.keyboard.press("A")
    assert pics.requests & 2
    assert pics.next_irq(SHORT) is None


@pytest.mark.parametrize(("device", "irq"), [("keyboard", 1), ("mouse", 12)])
def test_poll_takes_an_interrupt_without_the_processor(world, pics, keyboard, device, irq):
    pics.remap()
    pics.unmask(irq)
    assert pics.poll() is None
    world.keyboard.press("A") if device == "keyboard" else world.mouse.move(1, 1)
    assert pics.poll() == irq
    keyboard.service()
    pics.eoi(irq)
    assert pics.in_service == 0


def test_vectors_can_stand_elsewhere(world, keyboard):
    pics = Pics(world.cpu, 0x50, 0x70)
    pics.remap()
    pics.unmask(1)
    world.keyboard.press("A")
    assert world.cpu.wait() == 0x51


# -- without a machine


def test_vectors_begin_at_a_multiple_of_8():
    with pytest.raises(ValueError, match="multiple of 8, not 0x21"):
        Pics(None, 0x21)


def test_there_are_16_irqs():
    pics = Pics(lesson_pc().cpu)
    for verb in (pics.mask, pics.unmask, pics.eoi):
        with pytest.raises(ValueError, match="IRQ 0 to 15, not 16"):
            verb(16)


def test_a_vector_of_nobody_has_no_irq():
    pics = Pics(None)
    assert [pics.irq_of(vector) for vector in (0x1F, 0x20, 0x27, 0x28, 0x2F, 0x30)] == [
        None,
        0,
        7,
        8,
        15,
        None,
    ]


# -- on our board, where a test can make a spurious interrupt


class Glitches:
    """A Cpu on which IRQ 7 or 15 is acknowledged `before` anything real, with no request there."""

    def __init__(self, board, *before):
        self.board, self.before = board, list(before)
        self.inp, self.out = board.cpu.inp, board.cpu.out

    def wait(self, timeout):
        if self.before:
            line = self.before.pop(0)
            if line == 15:
                self.board.pic.line(2).set(True)
            vector = self.board.pic.acknowledge()
            self.board.pic.line(2).set(False)
            return vector
        return self.board.cpu.wait(timeout)


@pytest.mark.parametrize("spurious", [[7], [15], [7, 15, 7]])
def test_spurious_interrupts_are_looked_past(spurious):
    board = lesson_pc()
    pics = Pics(Glitches(board, *spurious))
    pics.remap()
    pics.unmask(8)
    board.clock.after(100, lambda: board.pic.line(8).set(True))
    assert pics.next_irq() == 8
    pics.eoi(8)
    assert pics.in_service == 0


def test_a_real_irq_7_is_not_spurious():
    board = lesson_pc()
    pics = Pics(board.cpu)
    pics.remap()
    pics.unmask(7)
    board.pic.line(7).set(True)
    assert pics.next_irq() == 7


def test_a_storm_of_spurious_interrupts_ends():
    board = lesson_pc()
    pics = Pics(Glitches(board, *[7] * 1000))
    pics.remap()
    assert pics.next_irq() is None


def test_a_poll_that_finds_no_slave_request_ends_the_masters():
    board = lesson_pc()
    pics = Pics(board.cpu)
    pics.remap()
    pics.unmask(8)
    board.pic.line(2).set(True)
    assert pics.poll() is None
    assert pics.in_service == 0
