"""The card's registers: initial values, interrupts, EEPROM, PHY and link (8254x SDM, 13.4)."""

import pytest

from tests.devices.e1000.bench import Bench, frame
from virtlab.backends.network import Link
from virtlab.clock import MILLISECOND
from virtlab.devices.e1000 import DEFAULT_MAC, E1000
from virtlab.devices.e1000.device import ITR_UNIT
from virtlab.devices.e1000.eeprom import CHECKSUM, image
from virtlab.devices.e1000.memories import COUNTERS, Statistics
from virtlab.devices.e1000.phy import AUTONEG_TIME, CONTROL, PARTNER, STATUS
from virtlab.devices.e1000.registers import CAUSES, General, Interrupts
from virtlab.devices.e1000.rings import ReceiveRing, TransmitRing, buffer_size
from virtlab.interrupts import IrqLine
from virtlab.memory import GuestMemory

TXDW, LSC, RXT0, MDAC = (CAUSES[name].mask for name in ("TXDW", "LSC", "RXT0", "MDAC"))


@pytest.fixture
def bench():
    return Bench()


# -- the register space


def test_initial_values(bench):
    assert bench.get(General.STATUS) == 0x8008_0783
    assert bench.get(General.CTRL) == 0x0014_0240
    assert bench.get(General.PBA) == 0x0010_0030
    assert bench.get(General.VET) == 0x8100
    assert bench.card.read(0x5400, 8) == 0x8000_5634_1200_5452


def test_any_bytes_of_a_register_can_be_read_and_written(bench):
    bench.card.write(0x2800, 8, 0x1122334455667788)
    assert bench.card.read(0x2800, 4) == 0x55667780
    bench.card.write(0x2806, 1, 0xAB)
    assert bench.card.read(0x2804, 4) == 0x11AB3344
    assert bench.card.read(0x2805, 2) == 0xAB33


def test_holes_read_as_zero_and_keep_nothing(bench):
    for offset in (0x0C, 0x0A00, 0x584C, 0xFFFC):
        bench.card.write(offset, 4, 0xFFFFFFFF)
        assert bench.card.read(offset, 4) == 0


def test_a_table_keeps_what_is_written_under_its_mask(bench):
    bench.card.write(0x5404, 4, 0xFFFFFFFF)
    assert bench.card.read(0x5404, 4) == 0x8003FFFF
    bench.card.write(0x5206, 2, 0xBEEF)
    assert bench.card.read(0x5204, 4) == 0xBEEF0000
    bench.card.write(0x9008, 4, 0xFFFF)
    bench.card.write(0x900C, 4, 0xFFFF)
    assert bench.card.read(0x9008, 8) == 0xF
    bench.card.write(0x5A00, 4, 7)
    assert bench.card.read(0x5A00, 4) == 0


def test_the_packet_buffer_is_shared_between_both_directions(bench):
    bench.put(General.PBA, 0x20)
    assert bench.get(General.PBA) == 0x0020_0020
    bench.put(General.PBA, 0x78)
    assert bench.get(General.PBA) == 0x0000_0078


def test_buffer_sizes():
    rctl = ReceiveRing.RCTL
    sizes = [buffer_size(rctl.BSEX.put(rctl.BSIZE.put(0, n), b)) for b in (0, 1) for n in range(4)]
    assert sizes == [2048, 1024, 512, 256, 2048, 16384, 8192, 4096]


# -- counters


def test_a_counter_is_cleared_by_reading_and_stays_at_its_maximum(bench):
    counted = bench.card.statistics
    counted.add("GPRC", 5)
    assert bench.get(COUNTERS["GPRC"]) == 5
    assert bench.get(COUNTERS["GPRC"]) == 0
    counted.add("TPT", 0xFFFFFFFF)
    counted.add("TPT")
    assert bench.get(COUNTERS["TPT"]) == 0xFFFFFFFF


def test_reading_the_upper_half_clears_both(bench):
    bench.card.statistics.add("TOR", 0x1_0000_0002)
    low = COUNTERS["TOR"].offset
    assert [bench.card.read(low, 4) for _ in range(2)] == [2, 2]
    assert bench.card.read(low + 4, 4) == 1
    assert bench.card.read(low, 8) == 0


def test_counters_are_read_only_and_some_offsets_have_none(bench):
    bench.card.write(0x4074, 4, 9)
    assert bench.card.read(0x4074, 4) == 0
    assert bench.card.read(0x4024, 4) == 0


@pytest.mark.parametrize(
    ("length", "name"),
    [
        (63, None),
        (64, "PRC64"),
        (65, "PRC127"),
        (127, "PRC127"),
        (128, "PRC255"),
        (511, "PRC511"),
        (1023, "PRC1023"),
        (1024, "PRC1522"),
        (9000, "PRC1522"),
    ],
)
def test_lengths_are_counted_in_their_class(length, name):
    counted = Statistics()
    counted.add_length("PRC", length)
    assert {each for each, value in counted.values.items() if value} == ({name} - {None})


# -- interrupts


def test_the_line_follows_cause_and_mask(bench):
    bench.put(Interrupts.ICS, RXT0 | LSC)
    assert not bench.irq.level
    bench.put(Interrupts.IMS, RXT0)
    assert bench.irq.level
    assert bench.get(Interrupts.ICS) == RXT0 | LSC
    bench.put(Interrupts.IMC, RXT0)
    assert not bench.irq.level
    assert bench.get(Interrupts.IMS) == 0
    assert bench.get(Interrupts.IMC) == 0


def test_reading_icr_acknowledges_everything(bench):
    bench.put(Interrupts.IMS, RXT0)
    bench.put(Interrupts.ICS, RXT0 | TXDW)
    assert bench.get(Interrupts.ICR) == RXT0 | TXDW
    assert not bench.irq.level
    assert bench.get(Interrupts.ICR) == 0


def test_a_one_written_to_icr_acknowledges_its_cause(bench):
    bench.put(Interrupts.IMS, RXT0 | TXDW)
    bench.put(Interrupts.ICS, RXT0 | TXDW)
    bench.put(Interrupts.ICR, TXDW)
    assert bench.irq.level
    assert bench.get(Interrupts.ICS) == RXT0
    bench.put(Interrupts.ICR, RXT0)
    assert not bench.irq.level


def test_a_byte_of_the_mask_leaves_the_others(bench):
    bench.put(Interrupts.IMS, LSC | MDAC)
    bench.card.write(Interrupts.IMS.offset, 1, RXT0)
    assert bench.get(Interrupts.IMS) == LSC | MDAC | RXT0
    bench.card.write(Interrupts.IMC.offset + 1, 1, MDAC >> 8)
    assert bench.get(Interrupts.IMS) == LSC | RXT0
    bench.card.write(Interrupts.ICS.offset, 1, LSC)
    assert bench.get(Interrupts.ICS) == LSC


def test_itr_keeps_interrupts_apart(bench):
    """13.4.18: the interval is between two interrupts, in units of 256 ns."""
    bench.put(Interrupts.ITR, 100)
    bench.put(Interrupts.IMS, RXT0)
    for _ in range(3):
        bench.put(Interrupts.ICS, RXT0)
        bench.get(Interrupts.ICR)
    bench.put(Interrupts.ICS, RXT0)
    assert [level for _, level in bench.edges] == [True, False]
    bench.clock.advance(100 * ITR_UNIT)
    assert bench.edges[-1] == (100 * ITR_UNIT, True)


def test_a_reset_ends_the_interval_of_itr(bench):
    bench.put(Interrupts.ITR, 0xFFFF)
    bench.put(Interrupts.IMS, RXT0)
    bench.put(Interrupts.ICS, RXT0)
    bench.get(Interrupts.ICR)
    bench.put(Interrupts.ICS, RXT0)
    bench.put(General.CTRL, General.CTRL.RST.mask)
    assert bench.clock.next_event() is None
    bench.put(Interrupts.IMS, RXT0)
    bench.put(Interrupts.ICS, RXT0)
    assert bench.irq.level


# -- resets


def test_rst_resets_all_but_phy_eeprom_and_packet_buffer(bench):
    bench.put(General.PBA, 0x20)
    bench.put(ReceiveRing.RDBAL, 0x1000)
    bench.put(Interrupts.ICS, RXT0)
    bench.card.write(0x5204, 4, 1)
    bench.phy(4, 0x1234)
    bench.put(General.CTRL, General.CTRL.RST.mask | General.CTRL.SLU.mask)
    assert bench.get(General.CTRL) == 0x0014_0240
    assert bench.get(ReceiveRing.RDBAL) == 0
    assert bench.get(Interrupts.ICR) == 0
    assert bench.card.read(0x5204, 4) == 0
    assert bench.get(General.PBA) == 0x0020_0020
    assert bench.phy(4)["DATA"] == 0x1234


def test_power_on_resets_the_phy_too(bench):
    bench.phy(4, 0x1234)
    bench.put(General.EECD, General.EECD.CS.mask)
    bench.card.reset()
    assert bench.phy(4)["DATA"] == 0x0DE1
    assert bench.card.eeprom.pins == 0


def test_phy_rst_resets_the_phy_when_it_rises(bench):
    bench.phy(4, 0x1234)
    bench.put(General.CTRL, General.CTRL.PHY_RST.mask)
    assert bench.phy(4)["DATA"] == 0x0DE1
    bench.clock.advance(AUTONEG_TIME)
    bench.put(General.CTRL, General.CTRL.PHY_RST.mask)
    assert bench.card.phy.link, "it did not rise, so there is no second reset"
    bench.put(General.CTRL, 0)
    assert bench.card.phy.link


# -- the EEPROM


def test_eerd_reads_a_word(bench):
    eerd = General.EERD
    for word, value in enumerate(image(DEFAULT_MAC)):
        bench.put(eerd, eerd.START.mask | eerd.ADDR.put(0, word))
        answer = eerd.decode(bench.get(eerd))
        assert (answer["DONE"], answer["DATA"]) == (1, value)


def test_eerd_without_start_does_nothing(bench):
    bench.put(General.EERD, General.EERD.ADDR.put(0, 3))
    assert General.EERD.decode(bench.get(General.EERD)) == {
        "START": 0,
        "DONE": 0,
        "ADDR": 3,
        "DATA": 0,
    }


def test_eerd_beyond_the_eeprom_reads_nothing(bench):
    eerd = General.EERD
    bench.put(eerd, eerd.START.mask | eerd.ADDR.put(0, 64))
    assert eerd.DATA.get(bench.get(eerd)) == 0
    assert eerd.DONE.get(bench.get(eerd))


def test_the_words_add_up():
    assert sum(image(bytes(6))) & 0xFFFF == CHECKSUM
    with pytest.raises(ValueError, match="6 bytes"):
        image(bytes(5))


class Wires:
    """Somebody who moves the wires of EECD."""

    def __init__(self, bench):
        self.bench = bench
        self.pins()

    def pins(self, *names):
        eecd = General.EECD
        self.bench.put(eecd, sum(eecd.fields[name].mask for name in names))

    def out(self):
        return General.EECD.DO.get(self.bench.get(General.EECD))

    def clock(self, bit):
        names = ("CS", "DI") if bit else ("CS",)
        self.pins(*names)
        self.pins(*names, "SK")
        seen = self.out()
        self.pins(*names)
        return seen

    def send(self, bits):
        return [self.clock(bit == "1") for bit in bits]


def test_the_wires_read_a_word_and_the_next(bench):
    """93C46: start bit, READ, six bits of address; a dummy 0, then the words, highest bit first."""
    wires = Wires(bench)
    assert image(DEFAULT_MAC)[24] & 1, "the bit before the word is a 1"
    bits = wires.send("110" + f"{25:06b}")
    assert bits == [1] * 8 + [0], "pulled up, then the dummy bit"
    words = ["".join(str(wires.clock(0)) for _ in range(16)) for _ in range(2)]
    assert [int(word, 2) for word in words] == image(DEFAULT_MAC)[25:27] == [0x3150, 0x0722]


def test_after_the_last_word_comes_the_first(bench):
    wires = Wires(bench)
    wires.send("110" + "111111")
    bits = "".join(str(wires.clock(0)) for _ in range(32))
    assert [int(bits[:16], 2), int(bits[16:], 2)] == [
        image(DEFAULT_MAC)[63],
        image(DEFAULT_MAC)[0],
    ]


def test_chip_select_begins_a_new_command(bench):
    wires = Wires(bench)
    wires.send("1101")
    wires.pins()
    wires.send("110" + f"{0:06b}")
    assert int("".join(str(wires.clock(0)) for _ in range(16)), 2) == image(DEFAULT_MAC)[0]


def test_other_commands_read_nothing(bench):
    wires = Wires(bench)
    wires.send("100110000")
    assert {wires.clock(0) for _ in range(16)} == {1}


def test_the_eeprom_is_granted_at_once_and_present(bench):
    eecd = General.EECD
    assert eecd.decode(bench.get(eecd)) | {"DO": 0} == dict.fromkeys(eecd.fields, 0) | {
        "EE_PRES": 1
    }
    bench.put(eecd, eecd.EE_REQ.mask)
    assert eecd.EE_GNT.get(bench.get(eecd))


# -- the PHY


def test_mdic_reads_and_writes(bench):
    assert bench.phy(2) == bench.phy(2) | {"DATA": 0x0141, "R": 1, "E": 0, "PHYADD": 1}
    assert bench.phy(9, 0x0123)["E"] == 0
    assert bench.phy(9)["DATA"] == 0x0123


def test_a_register_that_is_not_there_or_not_writable_fails(bench):
    assert bench.phy(7)["E"] == 1
    assert bench.phy(7, 1)["E"] == 1
    assert bench.phy(1, 0)["E"] == 1


def test_another_phy_does_not_answer(bench):
    bench.put(General.MDIC, General.MDIC.OP.put(General.MDIC.PHYADD.put(0, 2), 2))
    assert General.MDIC.E.get(bench.get(General.MDIC))


def test_no_operation_is_ready_at_once(bench):
    bench.put(General.MDIC, General.MDIC.PHYADD.put(0, 1))
    answer = General.MDIC.decode(bench.get(General.MDIC))
    assert (answer["R"], answer["E"]) == (1, 0)


def test_mdic_interrupts_when_asked(bench):
    bench.put(General.MDIC, General.MDIC.I.mask | General.MDIC.PHYADD.put(0, 1))
    assert bench.causes() == {"MDAC"}


# -- the link


def link_of(bench):
    """STATUS.LU, the PHY's link bit read twice, negotiation complete, the partner's answer."""
    status = [bench.phy(STATUS.offset)["DATA"] for _ in range(2)][1]
    return (
        General.STATUS.LU.get(bench.get(General.STATUS)),
        STATUS.LINK.get(status),
        STATUS.AUTONEG_DONE.get(status),
        PARTNER.ACKNOWLEDGE.get(bench.phy(PARTNER.offset)["DATA"]),
    )


def test_negotiation_takes_its_time_and_interrupts_twice(bench):
    assert link_of(bench) == (1, 1, 0, 0)
    bench.phy(CONTROL.offset, CONTROL.AUTONEG.mask | CONTROL.RESTART.mask)
    assert link_of(bench) == (0, 0, 0, 0)
    assert bench.causes() == {"LSC"}
    assert not CONTROL.RESTART.get(bench.phy(CONTROL.offset)["DATA"])
    bench.clock.advance(AUTONEG_TIME - 1)
    assert link_of(bench) == (0, 0, 0, 0)
    bench.clock.advance(1)
    assert link_of(bench) == (1, 1, 1, 1)
    assert bench.causes() == {"LSC"}


def test_the_link_bit_is_low_once_after_the_link_was_lost(bench):
    bench.link.set_up(False)
    bench.link.set_up(True)
    bench.clock.advance(AUTONEG_TIME)
    seen = [STATUS.LINK.get(bench.phy(STATUS.offset)["DATA"]) for _ in range(2)]
    assert seen == [0, 1]


def test_a_cable_pulled_during_negotiation(bench):
    bench.phy(CONTROL.offset, CONTROL.AUTONEG.mask | CONTROL.RESTART.mask)
    bench.link.set_up(False)
    bench.clock.advance(AUTONEG_TIME)
    assert link_of(bench) == (0, 0, 0, 0)


def test_without_negotiation_the_link_is_there_at_once(bench):
    bench.link.set_up(False)
    bench.phy(CONTROL.offset, CONTROL.DUPLEX.mask)
    bench.link.set_up(True)
    assert link_of(bench) == (1, 1, 0, 0)


def test_forcing_the_speed_ends_a_negotiation(bench):
    bench.phy(CONTROL.offset, CONTROL.AUTONEG.mask | CONTROL.RESTART.mask)
    bench.phy(CONTROL.offset, CONTROL.SPEED_100.mask)
    assert link_of(bench) == (1, 1, 0, 0)
    assert bench.clock.next_event() is None


def test_powered_down_there_is_no_link(bench):
    bench.phy(CONTROL.offset, CONTROL.AUTONEG.mask | CONTROL.POWER_DOWN.mask)
    assert link_of(bench)[0] == 0
    bench.clock.advance(10 * MILLISECOND)
    bench.phy(CONTROL.offset, CONTROL.AUTONEG.mask)
    assert link_of(bench)[0] == 0
    bench.clock.advance(AUTONEG_TIME)
    assert link_of(bench) == (1, 1, 1, 1)


def test_a_reset_of_the_phy_negotiates_again(bench):
    bench.phy(4, 0x1234)
    bench.phy(CONTROL.offset, CONTROL.RESET.mask)
    assert bench.phy(4)["DATA"] == 0x0DE1
    assert link_of(bench)[0] == 0
    bench.phy(CONTROL.offset, CONTROL.AUTONEG.mask | CONTROL.RESTART.mask)
    bench.clock.advance(AUTONEG_TIME)
    assert link_of(bench)[0] == 1


def test_a_card_without_a_cable():
    link = Link()
    link.set_up(False)
    bench = Bench(wire=link.a)
    assert General.STATUS.LU.get(bench.get(General.STATUS)) == 0
    bench.put(TransmitRing.TCTL, TransmitRing.TCTL.EN.mask)
    bench.put(General.CTRL, General.CTRL.RST.mask)
    assert General.STATUS.LU.get(bench.get(General.STATUS)) == 0


def test_a_card_alone_has_a_clock_and_a_wire_of_its_own():
    card = E1000(IrqLine("e1000"), GuestMemory(4096))
    assert card.clock.now == 0
    assert card.wire.up
    card.wire.link.b.send(frame())
    assert card.peek()["CTRL"] == 0x0014_0240
