"""The 8259A, clause by clause of its data sheet, and the pair of a PC against a second model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.devices.pic import REGISTERS, Pic8259, PicPair


def initialized(icw1=0x11, icw3=0x00, icw4=0x01, **how):
    """A chip after ICW1 to ICW4, vectors from 20h."""
    pic = Pic8259(**how)
    pic.write(0, 1, icw1)
    pic.write(1, 1, 0x20)
    if not icw1 & 2:
        pic.write(1, 1, icw3)
    if icw1 & 1:
        pic.write(1, 1, icw4)
    return pic


@pytest.fixture
def pic():
    return initialized()


@pytest.fixture
def pair():
    """Both chips as a PC's firmware leaves them: vectors 20h and 28h, nothing masked."""
    both = PicPair()
    for chip, words in ((both.master, (0x20, 0x04, 0x01)), (both.slave, (0x28, 0x02, 0x01))):
        chip.write(0, 1, 0x11)
        for word in words:
            chip.write(1, 1, word)
    return both


def raise_(pic, *inputs):
    for n in inputs:
        pic.lines[n].set(True)


def ocw2(pic, value):
    pic.write(0, 1, value)


def isr(pic):
    pic.write(0, 1, 0x0B)
    return pic.read(0, 1)


def irr(pic):
    pic.write(0, 1, 0x0A)
    return pic.read(0, 1)


# -- initialization


@pytest.mark.parametrize(("icw1", "words"), [(0x11, 3), (0x10, 2), (0x12, 1), (0x13, 2)])
def test_sngl_and_ic4_say_which_words_follow(icw1, words):
    pic = Pic8259()
    pic.write(0, 1, icw1)
    for word in range(words):
        pic.write(1, 1, 0x41 + word)
        assert pic.imr == 0
    pic.write(1, 1, 0x99)
    assert pic.read(1, 1) == 0x99
    assert pic.vector(3) == 0x43


def test_icw1_forgets_edges_masks_priorities_modes_and_selects_irr(pic):
    raise_(pic, 3, 4)
    pic.acknowledge()
    pic.write(1, 1, 0x80)
    for command in (0xC2, 0x68, 0x0B):
        pic.write(0, 1, command)
    pic.write(0, 1, 0x10)
    assert (pic.imr, pic.irr, pic.lowest, pic.special_mask, pic.read_isr) == (0, 0, 7, False, False)
    assert (pic.isr, pic.icw4) == (0, 0)
    assert not pic.int_line.level
    pic.lines[3].set(False)
    raise_(pic, 3)
    assert pic.irr == 0x08


def test_icw1_sets_a_slaves_address_to_7():
    pic = initialized(icw3=2, master=False)
    assert pic.icw3 == 2
    pic.write(0, 1, 0x11)
    assert pic.icw3 == 7


def test_a_chip_can_be_initialized_again_in_the_middle():
    pic = Pic8259()
    pic.write(0, 1, 0x11)
    pic.write(1, 1, 0x20)
    pic.write(0, 1, 0x12)
    pic.write(1, 1, 0x48)
    pic.write(1, 1, 0x55)
    assert (pic.imr, pic.vector(0)) == (0x55, 0x48)


# -- requests and priorities


def test_the_lowest_number_has_the_highest_priority(pic):
    raise_(pic, 5, 1, 3)
    order = []
    while pic.int_line.level:
        order.append(pic.acknowledge())
        ocw2(pic, 0x20)
    assert order == [1, 3, 5]


def test_what_is_in_service_holds_back_its_own_and_lower_ones(pic):
    raise_(pic, 4)
    assert pic.acknowledge() == 4
    pic.lines[4].set(False)
    raise_(pic, 4, 6)
    assert not pic.int_line.level
    raise_(pic, 2)
    assert pic.int_line.level
    assert pic.acknowledge() == 2
    assert isr(pic) == 0x14


def test_a_mask_holds_a_request_back_and_keeps_it(pic):
    pic.write(1, 1, 0x08)
    raise_(pic, 3)
    assert (pic.int_line.level, irr(pic)) == (False, 0x08)
    pic.write(1, 1, 0x00)
    assert pic.int_line.level


def test_ocw3_chooses_the_register_and_keeps_the_choice(pic):
    raise_(pic, 3, 4)
    pic.acknowledge()
    assert (irr(pic), isr(pic), pic.read(0, 1), pic.read(1, 1)) == (0x10, 0x08, 0x08, 0x00)
    pic.write(0, 1, 0x08)
    assert pic.read(0, 1) == 0x08


# -- edge and level


def test_an_edge_makes_one_request(pic):
    raise_(pic, 3)
    pic.acknowledge()
    ocw2(pic, 0x20)
    assert not pic.int_line.level
    pic.lines[3].set(False)
    pic.lines[3].set(True)
    assert pic.int_line.level


@pytest.mark.parametrize("how", ["ltim", "elcr"])
def test_a_level_requests_as_long_as_it_is_high(how):
    pic = initialized(icw1=0x19 if how == "ltim" else 0x11)
    pic.set_elcr(0x08 if how == "elcr" else 0)
    raise_(pic, 3)
    assert pic.acknowledge() == 3
    assert irr(pic) == 0x08
    ocw2(pic, 0x20)
    assert pic.int_line.level
    pic.lines[3].set(False)
    assert not pic.int_line.level


def test_a_request_that_is_gone_before_inta_is_ir7_and_not_in_service(pic):
    raise_(pic, 3)
    pic.lines[3].set(False)
    assert (irr(pic), pic.int_line.level) == (0, False)
    assert pic.vector(pic.acknowledge()) == 0x27
    assert isr(pic) == 0


def test_a_latched_chip_keeps_the_edge_of_a_pulse():
    for latched, vector in ((False, 0x07), (True, 0x05)):
        pair = PicPair(latched=latched)
        pair.line(5).pulse()
        assert pair.pending is latched
        assert pair.acknowledge() == vector
        assert not pair.pending


@pytest.mark.parametrize("how", ["ltim", "elcr"])
def test_a_latched_chip_keeps_no_edge_of_a_level(how):
    pic = initialized(icw1=0x19 if how == "ltim" else 0x11, latched=True)
    pic.set_elcr(0x08 if how == "elcr" else 0)
    raise_(pic, 3)
    pic.lines[3].set(False)
    assert (irr(pic), pic.int_line.level) == (0, False)


# -- end of interrupt and rotation


def test_nonspecific_eoi_ends_the_highest_in_service(pic):
    for n in (5, 2):
        raise_(pic, n)
        pic.acknowledge()
    ocw2(pic, 0x20)
    assert isr(pic) == 0x20
    ocw2(pic, 0x20)
    ocw2(pic, 0x20)
    assert isr(pic) == 0


def test_specific_eoi_ends_the_one_it_names(pic):
    for n in (5, 2):
        raise_(pic, n)
        pic.acknowledge()
    ocw2(pic, 0x65)
    assert isr(pic) == 0x04


@pytest.mark.parametrize("command", [0xA0, 0xE4])
def test_rotate_on_eoi_makes_the_served_one_the_lowest(pic, command):
    raise_(pic, 4)
    pic.acknowledge()
    ocw2(pic, command)
    assert (isr(pic), pic.lowest) == (0, 4)
    raise_(pic, 3, 6)
    assert pic.acknowledge() == 6


def test_rotate_with_nothing_in_service_changes_nothing(pic):
    ocw2(pic, 0xA0)
    assert pic.lowest == 7


def test_set_priority_names_the_lowest_and_ends_nothing(pic):
    raise_(pic, 4)
    pic.acknowledge()
    ocw2(pic, 0xC5)
    assert (isr(pic), pic.lowest) == (0x10, 5)
    ocw2(pic, 0x40)
    assert (isr(pic), pic.lowest) == (0x10, 5)


def test_automatic_eoi_leaves_nothing_in_service():
    pic = initialized(icw4=0x03)
    raise_(pic, 4)
    pic.acknowledge()
    assert (isr(pic), pic.lowest) == (0, 7)
    ocw2(pic, 0x80)
    pic.lines[4].set(False)
    raise_(pic, 4)
    pic.acknowledge()
    assert pic.lowest == 4
    ocw2(pic, 0x00)
    assert not pic.rotate_on_aeoi


# -- modes


def test_special_mask_mode_lets_lower_ones_through_while_the_served_one_is_masked(pic):
    raise_(pic, 3)
    pic.acknowledge()
    raise_(pic, 6)
    pic.write(1, 1, 0x08)
    assert not pic.int_line.level
    pic.write(0, 1, 0x68)
    assert pic.int_line.level
    assert pic.acknowledge() == 6
    ocw2(pic, 0x20)
    assert isr(pic) == 0x08
    ocw2(pic, 0x20)
    assert isr(pic) == 0x08
    pic.write(0, 1, 0x48)
    ocw2(pic, 0x20)
    assert isr(pic) == 0


@pytest.mark.parametrize("port", [0, 1])
def test_poll_is_an_acknowledge_by_a_read(pic, port):
    raise_(pic, 5)
    pic.write(0, 1, 0x0F)
    assert pic.read(port, 1) == 0x85
    assert pic.read(0, 1) == 0x20
    assert isr(pic) == 0x20


def test_poll_without_a_request_has_bit_7_clear(pic):
    pic.write(0, 1, 0x0C)
    assert pic.read(0, 1) == 0


# -- the pair


def test_the_slave_hangs_on_ir2(pair):
    pair.line(12).set(True)
    assert pair.pending
    assert pair.acknowledge() == 0x2C
    assert (isr(pair.master), isr(pair.slave)) == (0x04, 0x10)
    assert not pair.pending


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
def test_each_line_has_its_vector(pair, n):
    pair.line(n).set(True)
    assert pair.acknowledge() == 0x20 + n


def test_the_slaves_inputs_stand_between_1_and_3(pair):
    for n in (3, 15, 8, 1):
        pair.line(n).set(True)
    vectors = []
    for _ in range(4):
        vectors.append(pair.acknowledge())
        pair.slave.write(0, 1, 0x20)
        pair.master.write(0, 1, 0x20)
    assert vectors == [0x21, 0x28, 0x2F, 0x23]


def test_a_second_slave_request_comes_after_both_eois(pair):
    pair.line(9).set(True)
    pair.line(12).set(True)
    assert pair.acknowledge() == 0x29
    pair.slave.write(0, 1, 0x20)
    assert not pair.pending
    pair.master.write(0, 1, 0x20)
    assert pair.acknowledge() == 0x2C


def test_a_slave_that_wants_more_makes_a_new_edge(pair):
    pair.slave.write(0, 1, 0x11)
    for word in (0x28, 0x02, 0x03):
        pair.slave.write(1, 1, word)
    pair.line(9).set(True)
    pair.line(12).set(True)
    vectors = []
    for _ in range(2):
        vectors.append(pair.acknowledge())
        pair.master.write(0, 1, 0x20)
    assert vectors == [0x29, 0x2C]


def test_special_fully_nested_lets_a_higher_one_of_the_same_slave_through(pair):
    pair.master.write(0, 1, 0x11)
    for word in (0x20, 0x04, 0x11):
        pair.master.write(1, 1, word)
    pair.line(12).set(True)
    assert pair.acknowledge() == 0x2C
    pair.line(3).set(True)
    assert not pair.pending
    pair.line(8).set(True)
    assert pair.acknowledge() == 0x28


def test_without_special_fully_nested_it_waits(pair):
    pair.line(12).set(True)
    pair.acknowledge()
    pair.line(8).set(True)
    assert not pair.pending


def test_spurious_irq_7_and_15(pair):
    assert pair.acknowledge() == 0x27
    assert isr(pair.master) == 0
    pair.line(2).set(True)
    assert pair.acknowledge() == 0x2F
    assert (isr(pair.master), isr(pair.slave)) == (0x04, 0)


def test_a_slave_with_another_number_does_not_answer(pair):
    pair.slave.icw3 = 3
    pair.line(12).set(True)
    assert pair.acknowledge() == 0xFF


def test_a_single_master_has_no_slave():
    pair = PicPair()
    pair.master.write(0, 1, 0x13)
    pair.master.write(1, 1, 0x20)
    pair.master.write(1, 1, 0x01)
    pair.line(12).set(True)
    assert pair.acknowledge() == 0x22


def test_elcr_keeps_its_fixed_inputs_edge_triggered(pair):
    for offset, bits in ((0, 0xF8), (1, 0xDE)):
        pair.elcr.write(offset, 1, 0xFF)
        assert pair.elcr.read(offset, 1) == bits
    assert pair.elcr.peek() == {"ELCR1": 0xF8, "ELCR2": 0xDE}
    pair.line(9).set(True)
    assert pair.acknowledge() == 0x29
    assert pair.slave.irr == 0x02


def test_a_new_trigger_acts_at_once(pair):
    pair.line(5).set(True)
    pair.acknowledge()
    pair.master.write(0, 1, 0x20)
    assert not pair.pending
    pair.elcr.write(0, 1, 0x20)
    assert pair.pending


def test_there_are_lines_0_to_15(pair):
    assert pair.line(2) is pair.master.lines[2]
    for n in (-1, 16):
        with pytest.raises(ValueError, match="IRQ 0 to 15"):
            pair.line(n)


def test_reset(pair):
    pair.line(5).set(True)
    pair.acknowledge()
    pair.reset()
    assert pair.master.peek() == Pic8259().peek()
    assert not pair.pending
    assert "master" in repr(pair)


def test_the_registers_are_declared(pair):
    assert set(pair.master.peek()) <= {reg.name for reg in REGISTERS}


# -- a second model, of one chip, written the slow way round


class Model:
    """Fully nested or rotated, edge triggered, 8086 mode: sets and a list of priorities."""

    def __init__(self):
        self.high, self.wanted, self.serving, self.masked = set(), set(), set(), set()
        self.order = list(range(8))

    def line(self, n, level):
        if level and n not in self.high:
            self.wanted.add(n)
        (self.high.add if level else self.high.discard)(n)
        if not level:
            self.wanted.discard(n)

    def request(self):
        for n in self.order:
            if n in self.serving:
                return None
            if n in self.wanted and n not in self.masked:
                return n
        return None

    def acknowledge(self):
        n = self.request()
        if n is None:
            return 7
        self.wanted.remove(n)
        self.serving.add(n)
        return n

    def eoi(self, rotate):
        for n in self.order:
            if n in self.serving:
                self.serving.remove(n)
                if rotate:
                    self.lowest(n)
                return

    def lowest(self, n):
        self.order = [(n + 1 + i) % 8 for i in range(8)]


def bits(numbers):
    return sum(1 << n for n in numbers)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["up", "down", "inta", "eoi", "rotate", "mask", "lowest"]),
        st.integers(0, 255),
    )
)


@given(STEPS)
def test_a_second_model_agrees_at_every_step(steps):
    pic, model = initialized(), Model()
    for verb, value in steps:
        n = value & 7
        match verb:
            case "up" | "down":
                pic.lines[n].set(verb == "up")
                model.line(n, verb == "up")
            case "inta":
                assert pic.acknowledge() == model.acknowledge()
            case "eoi" | "rotate":
                ocw2(pic, 0x20 if verb == "eoi" else 0xA0)
                model.eoi(verb == "rotate")
            case "mask":
                pic.write(1, 1, value)
                model.masked = {i for i in range(8) if value >> i & 1}
            case "lowest":
                ocw2(pic, 0xC0 | n)
                model.lowest(n)
        assert (irr(pic), isr(pic)) == (bits(model.wanted), bits(model.serving))
        assert pic.int_line.level is (model.request() is not None)


ACCESSES = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 255), st.sampled_from([1, 2, 4]))
)


@given(ACCESSES)
def test_no_access_raises_and_pending_is_the_masters_request(accesses):
    pair = PicPair()
    for verb, offset, value, size in accesses:
        device = (pair.master, pair.slave, pair.elcr)[verb % 3]
        if verb < 3:
            device.write(offset, size, value)
        else:
            assert 0 <= device.read(offset, size) <= 0xFF
        pair.line(value & 15).set(bool(verb & 1) and value & 15 != 2)
        assert pair.pending is (pair.master.request() is not None)
        assert pair.slave.int_line.level is (pair.slave.request() is not None)
        if value > 200:
            was = pair.pending
            vector = pair.acknowledge()
            assert 0 <= vector <= 0xFF
            nobody = (pair.master.vector(7), pair.slave.vector(7), 0xFF)
            assert was or vector in nobody
