"""Our 82540EM against QEMU's, register by register, while no ring runs. Then the interrupt line."""

import random

import pytest

from tests.devices.e1000.bench import Bench
from tests.devices.e1000.worlds import QemuWorld
from tests.needs import needs_qemu
from tests.oracles.differential import Deviation, explain, run_both
from virtlab.bus import AddressSpace
from virtlab.devices.e1000 import E1000
from virtlab.devices.e1000.eeprom import COMMAND_BITS, READ
from virtlab.devices.e1000.memories import COUNTERS, tables
from virtlab.devices.e1000.phy import ADDRESS, CONTROL
from virtlab.devices.e1000.registers import General, Interrupts
from virtlab.devices.e1000.rings import ReceiveRing, TransmitRing
from virtlab.trace import Access

ACCESSES = 24_000
GSI = 21
"""Where pin A of device 5 of a q35 ends."""
CTRL, RCTL, TCTL, MDIC, EECD, EERD = (
    General.CTRL,
    ReceiveRing.RCTL,
    TransmitRing.TCTL,
    General.MDIC,
    General.EECD,
    General.EERD,
)
EEPROM_BITS = EECD.DO.mask | EECD.EE_GNT.mask
BY_OFFSET = {reg.offset: reg for reg in E1000.registers}
TABLES = tables()


def writable(offset, value):
    """`value`, without what would start something that takes time or memory.

    No reset, no transmission, and no negotiation: those have tests of their own.
    """
    if offset == CTRL.offset:
        value &= ~(CTRL.RST.mask | CTRL.PHY_RST.mask)
    elif offset == TCTL.offset:
        value &= ~TCTL.EN.mask
    elif offset == EERD.offset:
        value &= EERD.rw  # its read-only bits make QEMU read another word
    elif offset == ReceiveRing.RDTR.offset:
        value &= ~ReceiveRing.RDTR.FPD.mask
    elif offset == MDIC.offset and MDIC.REGADD.get(value) == CONTROL.offset:
        value &= ~(CONTROL.RESET.mask | CONTROL.RESTART.mask | CONTROL.POWER_DOWN.mask)
    return value


def random_offset(rng):
    choice = rng.random()
    if choice < 0.5:
        return rng.choice(list(BY_OFFSET))
    if choice < 0.6:
        return rng.choice(list(COUNTERS.values())).offset
    if choice < 0.9:
        table = rng.choice(list(TABLES.values()))
        return table.offset + 4 * rng.randrange((table.end - table.offset) // 4)
    return rng.randrange(0, E1000.length, 4)


def random_value(rng, offset):
    if offset == MDIC.offset:
        word = MDIC.OP.put(rng.getrandbits(16), rng.randrange(3))
        word = MDIC.PHYADD.put(word, ADDRESS)
        return MDIC.I.put(MDIC.REGADD.put(word, rng.randrange(32)), rng.randrange(2))
    if offset == EERD.offset:
        return rng.choice([rng.getrandbits(32), EERD.ADDR.put(1, rng.randrange(70))])
    return rng.choice([0, 0xFFFFFFFF, 1 << rng.randrange(32), rng.getrandbits(32)])


def wires(rng):
    """A command to the EEPROM on its four wires; the wires are read after each step."""
    code = rng.choice([READ] * 4 + [rng.getrandbits(3)]) << 6 | rng.getrandbits(6)
    bits = [code >> at & 1 for at in reversed(range(COMMAND_BITS))] + [0] * rng.randrange(40)
    made = [(True, 0), (True, EECD.CS.mask)]
    for bit in bits:
        for clock in (0, 1, 0):
            made += [
                (True, EECD.SK.put(EECD.DI.put(EECD.CS.mask | EECD.EE_REQ.mask, bit), clock)),
                (False, 0),
            ]
    return made


def accesses(rng, count, base):
    """Reads and writes of dwords everywhere, some of 8 bytes, and commands on the wires."""
    made = []
    while len(made) < count:
        if rng.random() < 0.005:
            made += [
                Access(0, write, "memory", base + EECD.offset, 4, value)
                for write, value in wires(rng)
            ]
            continue
        offset = random_offset(rng)
        write, size = rng.random() < 0.5, 4
        value = writable(offset, random_value(rng, offset))
        if 0x10000 <= offset and offset % 8 == 0 and rng.random() < 0.5:
            size, value = 8, rng.getrandbits(64)
        made.append(Access(0, write, "memory", base + offset, size, value))
    return made


MISSING = [
    General.FCAL,
    General.FCAH,
    General.FCT,
    General.FCTTV,
    General.FLA,
    General.CTRL_EXT,
    General.TXCW,
    General.FCRTL,
    General.FCRTH,
    ReceiveRing.RXDCTL,
    ReceiveRing.RSRPD,
    ReceiveRing.RXCSUM,
    TransmitRing.TIPG,
    TransmitRing.TIDV,
    TransmitRing.TSPMT,
]
"""Registers of the manual that QEMU's card does not have."""

KEPT = [
    CTRL,
    RCTL,
    TCTL,
    MDIC,
    General.VET,
    Interrupts.ICR,
    Interrupts.ICS,
    Interrupts.IMS,
    ReceiveRing.RDBAL,
    TransmitRing.TDBAL,
]
"""Registers of which QEMU keeps the reserved bits, too."""


def deviations(base):
    """Every difference that is reviewed. Each looks at the offset, and at what may differ there."""

    def when(name, clause, test):
        def excuses(pair, before):
            offset = pair.access.address - base
            return not pair.access.write and test(offset, pair.ours, pair.theirs)

        return Deviation(name, clause, excuses)

    def dummy_bit(pair, before):
        """DO while the last bit of a command is clocked in, and SK is still high."""
        if pair.access.address - base != EECD.offset or (pair.ours ^ pair.theirs) & ~EEPROM_BITS:
            return False
        in_dummy = pair.state["clocks"] == COMMAND_BITS and EECD.SK.get(pair.ours)
        return bool(in_dummy) and EECD.DO.get(pair.ours) == 0

    def reserved(offset, ours, theirs):
        if offset in {reg.offset for reg in KEPT}:
            reg = BY_OFFSET[offset]
            return not (ours ^ theirs) & (reg.rw | reg.w1c)
        ra = TABLES["RA"]
        in_rah = ra.offset <= offset < ra.end and offset % 8 == 4
        return in_rah and not (ours ^ theirs) & ra.masks[1]

    def in_hole(offset, ours, theirs):
        return ours == 0 and any(
            table.offset <= offset < table.end and (offset - table.offset) % table.stride >= 4
            for table in TABLES.values()
        )

    def only(offset, mask):
        return lambda here, ours, theirs: here == offset and not (ours ^ theirs) & ~mask

    wupm = TABLES["WUPM"]
    return [
        when("reserved bits", "8254x SDM 13.4, reserved bits read as 0", reserved),
        when(
            "registers that QEMU has not",
            "8254x SDM 13.4",
            lambda here, ours, theirs: here in {reg.offset for reg in MISSING} and theirs == 0,
        ),
        when("between the dwords of a table", "8254x SDM 13.6.5, 13.6.9 to 13.6.11", in_hole),
        when("MANC", "8254x SDM 13.1, R/W", lambda here, ours, theirs: here == General.MANC.offset),
        when("PBA", "8254x SDM 13.4.16", lambda here, ours, theirs: here == General.PBA.offset),
        when(
            "wake-up packet memory",
            "8254x SDM 13.6.8, read-only",
            lambda here, ours, theirs: wupm.offset <= here < wupm.end and ours == 0,
        ),
        when(
            "a counter that can be written",
            "8254x SDM 13.7, read-only",
            lambda here, ours, theirs: here == COUNTERS["FCRUC"].offset and ours == 0,
        ),
        when("a grant without a request", "8254x SDM 13.4.3", only(EECD.offset, EECD.EE_GNT.mask)),
        Deviation("the dummy bit of the EEPROM", "93C46, READ", dummy_bit),
    ]


@pytest.fixture
def theirs():
    made = QemuWorld()
    yield made
    made.close()


def space_with(card, base):
    """Our card alone, where QEMU's is."""
    space = AddressSpace("memory", 52)
    space.map(base, E1000.length, card, "e1000", width=4)
    return space


@needs_qemu
def test_seeded_random_accesses_agree(theirs):
    bench = Bench()
    sent = accesses(random.Random(1), ACCESSES, theirs.base)
    clocks = lambda: {"clocks": bench.card.eeprom.clocks}  # noqa: E731
    pairs = run_both(theirs.cpu, space_with(bench.card, theirs.base), {}, sent, clocks)
    used = explain(pairs, deviations(theirs.base))
    reads = sum(not pair.access.write for pair in pairs)
    assert reads > 10_000
    assert used.total() < reads / 4


@needs_qemu
def test_the_interrupt_line_agrees():
    """ICR, ICS, IMS and IMC, and the pin after each access, without QEMU's delay of interrupts."""
    world, rng, bench = QemuWorld(",mitigation=off"), random.Random(2), Bench()
    sent = []
    registers = (Interrupts.ICR, Interrupts.ICS, Interrupts.IMS, Interrupts.IMC)
    while len(sent) < 4000:
        reg, write = rng.choice(registers), rng.random() < 0.6
        value = rng.choice([1 << rng.randrange(17), rng.getrandbits(17)]) & reg_bits(reg)
        sent.append(Access(0, write, "memory", world.base + reg.offset, 4, value))
    try:
        space = space_with(bench.card, world.base)
        pairs = run_both(world.cpu, space, {GSI: bench.irq}, sent)
    finally:
        world.close()
    assert explain(pairs) == {}
    assert len({pair.our_irqs for pair in pairs}) == 2


def reg_bits(reg):
    """Bits of a register that belong to a cause."""
    return reg.rw | reg.w1c
