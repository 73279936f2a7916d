"""Our local APIC against QEMU's: random accesses, messages, acknowledgements; all answers compared.

A program on QEMU's own processor does the accesses (see `lapic_code`). QEMU's clock runs, so the
timer stays out: it is held by tests of its own. Where the two differ on purpose, a test shows both
answers and the clause, and the random accesses stay out of exactly these.
"""

from __future__ import annotations

import random

import pytest

from tests.needs import needs_qemu, require
from tests.oracles.lapic_code import LOAD, NOTHING, STORE, WINDOW, QemuLapic
from virtlab.devices.lapic import BASE, LVT, ApicBus, Lapic, LapicRegisters
from virtlab.hosts.remote import QtestMachine
from virtlab.interrupts import Msi

REGS = {reg.name: reg for reg in LapicRegisters.registers}
ENABLED, MASK, LEVEL, LOGICAL = 0x1FF, 1 << 16, 1 << 15, 1 << 11
NOT_COMPARED = ("VERSION", "CURRENT_COUNT", "ESR")
READ = [reg for reg in LapicRegisters.registers if reg.name not in NOT_COMPARED]
CLUSTERS = (0, 0xF000_0000)


class Two:
    """Both APICs behind the same commands."""

    def __init__(self, machine):
        self.machine, self.theirs = machine, QemuLapic(machine)
        self.ours = Lapic(0)
        self.bus = ApicBus([self.ours])

    def run(self, commands):
        """`(kind, register or None, value)` each. The answers, ours and theirs."""
        packed = [(kind, BASE + (reg.offset if reg else 0), value) for kind, reg, value in commands]
        return [self._here(*each) for each in commands], self.theirs.run(packed)

    def _here(self, kind, reg, value):
        if kind == LOAD:
            return self.ours.read(reg.offset, 4)
        if kind == STORE:
            self.ours.write(reg.offset, 4, value)
            return value
        return self.ours.acknowledge() if self.ours.pending else NOTHING

    def message(self, msi):
        """A message from a device, to both."""
        self.bus.message(msi)
        self.machine.store(msi.address, msi.data)

    def both(self, *commands):
        """The answers to the last command."""
        ours, theirs = self.run(list(commands))
        return ours[-1], theirs[-1]


@pytest.fixture
def two():
    require("QEMU")
    with QtestMachine("q35") as machine:
        yield Two(machine)


def put(name, value):
    return STORE, REGS[name], value


def get(name):
    return LOAD, REGS[name], 0


def destination(rng, logical):
    """Processor 0, another one, everybody, or some groups; not all clusters."""
    return rng.randrange(0xF0) if logical else rng.choice([0, 0, 1, 0xFF])


def command(rng):
    """One random access, without what differs on purpose."""
    vector = rng.randrange(16, 256)
    match rng.randrange(12):
        case 0:
            return [put("TPR", rng.choice([0, 0, rng.randrange(256)]))]
        case 1:
            return [put("SVR", 0x100 | vector)]
        case 2 | 3:
            return [put("LDR", rng.randrange(256) << 24), put("DFR", rng.choice(CLUSTERS))]
        case 4:
            reg = rng.choice([each for each in LVT if each.name != "LVT_LINT0"])
            return [(STORE, reg, (rng.getrandbits(32) | MASK) & reg.rw)]
        case 5:
            name = rng.choice(["DIVIDE", "ICR_HIGH"])
            return [put(name, rng.getrandbits(32) & REGS[name].rw)]
        case 6 | 7:
            how = rng.choice([0, 1 << 8, LOGICAL, 1 << 18, 2 << 18, 3 << 18])
            to = destination(rng, how == LOGICAL)
            return [put("ICR_HIGH", to << 24), put("ICR_LOW", vector | how | 1 << 14)]
        case 8 | 9:
            return [(WINDOW, None, 0)]
        case 10:
            return [put("EOI", rng.getrandbits(32))]
        case _:
            reg = rng.choice([each for each in READ if not each.rw and each.name != "EOI"])
            return [(STORE, reg, rng.getrandbits(32))]


def message(rng):
    """A message from a device."""
    how = rng.choice([0, 4, 8])
    to = destination(rng, how == 4)
    data = rng.randrange(16, 256) | rng.choice([0, 1 << 8, LEVEL, LEVEL | 1 << 14])
    return Msi(BASE | to << 12 | how, data)


@needs_qemu
@pytest.mark.parametrize("seed", range(2))
def test_random_accesses_and_messages_get_the_same_answers(two, seed):
    rng = random.Random(seed)
    two.run([put("SVR", ENABLED)])
    taken = 0
    for _ in range(60):
        for _ in range(rng.randrange(4)):
            two.message(message(rng))
        commands = []
        for _ in range(40):
            commands += [*command(rng), (LOAD, rng.choice(READ), 0), get("PPR")]
        ours, theirs = two.run(commands)
        for index, (mine, yours) in enumerate(zip(ours, theirs, strict=True)):
            assert mine == yours, commands[max(0, index - 12) : index + 1]
        taken += sum(
            kind == WINDOW and value != NOTHING
            for (kind, _, _), value in zip(commands, ours, strict=True)
        )
        ours, theirs = two.run([(LOAD, reg, 0) for reg in READ])
        assert ours == theirs
    assert taken > 100


@needs_qemu
def test_after_reset_both_are_the_same(two):
    ours, theirs = two.run([(LOAD, reg, 0) for reg in READ])
    assert ours == theirs


@needs_qemu
def test_deviation_qemu_cannot_suppress_the_broadcast(two):
    """SDM 3A 11.8.5: bit 24 of the version says that it can; SVR bit 12 does it."""
    assert two.both(get("VERSION")) == (0x0105_0014, 0x0005_0014)
    assert two.both(put("SVR", 0x11FF), get("SVR")) == (0x11FF, 0x01FF)


@needs_qemu
def test_deviation_qemu_accepts_while_switched_off(two):
    """SDM 3A 11.4.7.2: the state after reset; no vector is accepted."""
    two.message(Msi(BASE, 0x41))
    assert two.both(get("IRR2")) == (0, 2)


@needs_qemu
def test_deviation_qemu_leaves_the_lvt_unmasked_when_switched_off(two):
    """SDM 3A 11.4.7.2: the mask bits of all entries are set, and cannot be cleared."""
    commands = [put("SVR", ENABLED), put("LVT_ERROR", 0x55), put("SVR", 0xFF), get("LVT_ERROR")]
    assert two.both(*commands) == (MASK | 0x55, 0x55)
    assert two.both(put("LVT_THERMAL", 0x55), get("LVT_THERMAL")) == (MASK | 0x55, 0x55)


@needs_qemu
@pytest.mark.parametrize("name", [reg.name for reg in LVT if reg.name != "LVT_LINT0"])
def test_deviation_qemu_keeps_reserved_bits_of_the_lvt(two, name):
    """SDM 3A figure 11-8: they are reserved."""
    ours, theirs = two.both(put("SVR", ENABLED), put(name, 0xFFFF_FFFF), get(name))
    assert (ours, theirs) == (REGS[name].rw, 0xFFFF_FFFF)


@needs_qemu
@pytest.mark.parametrize(("name", "value"), [("ICR_LOW", 0xFFF3_3041), ("ICR_HIGH", 0xFFFF_FFFF)])
def test_deviation_qemu_keeps_reserved_bits_of_icr(two, name, value):
    """SDM 3A figure 11-12: reserved, and the delivery status is read-only."""
    assert two.both(put(name, value), get(name)) == (value & REGS[name].rw, value)


@needs_qemu
def test_deviation_qemu_takes_vectors_below_16(two):
    """SDM 3A 11.5.2: an illegal vector is an error, and no request."""
    two.run([put("SVR", ENABLED)])
    two.message(Msi(BASE, 0x0F))
    assert two.both(get("IRR0")) == (0, 1 << 15)
    assert two.both(put("ESR", 0), get("ESR")) == (1 << 6, 0)


@needs_qemu
def test_deviation_qemus_esr_shows_errors_at_once_and_for_ever(two):
    """SDM 3A 11.5.3: a write brings it up to date, and the next one clears it."""
    nowhere = LapicRegisters.ISR0.offset - 0xC0  # 040h
    two.ours.read(nowhere, 4)
    two.theirs.run([(LOAD, BASE + nowhere, 0)])
    assert two.both(get("ESR")) == (0, 1 << 7)
    assert two.both(put("ESR", 0), get("ESR")) == (1 << 7, 1 << 7)
    assert two.both(put("ESR", 0), get("ESR")) == (0, 1 << 7)


@needs_qemu
def test_deviation_an_ipi_that_says_level_is_one_in_qemu(two):
    """SDM 3A 11.6.1: the trigger mode is for INIT de-assert; other modes are edges."""
    level = 0x41 | LEVEL | 1 << 14 | 1 << 18
    assert two.both(put("SVR", ENABLED), put("ICR_LOW", level), get("TMR2")) == (0, 2)


@needs_qemu
def test_deviation_qemu_has_no_broadcast_to_clusters(two):
    """SDM 3A 11.6.2.2: cluster 15 is every cluster."""
    two.run([put("SVR", ENABLED), put("DFR", 0), put("LDR", 0x21 << 24)])
    two.message(Msi(BASE | 0xF1 << 12 | 4, 0x41))
    assert two.both(get("IRR2")) == (2, 0)


@needs_qemu
def test_deviation_qemu_answers_between_the_registers(two):
    """SDM 3A 11.4.1: an access to bytes 4 to 15 is undefined; ours does nothing."""
    assert two.ours.read(REGS["SVR"].offset + 4, 4) == 0
    assert two.theirs.run([(LOAD, BASE + REGS["SVR"].offset + 4, 0)]) == [0xFF]


@needs_qemu
def test_deviation_qemu_finds_itself_by_the_number_it_was_born_with(two):
    """SDM 3A 11.6.1: the shorthand "self" needs no id; QEMU looks the written one up."""
    own = [put("SVR", ENABLED), put("ID", 2 << 24), put("ICR_LOW", 0x41 | 1 << 18), get("IRR2")]
    assert two.both(*own) == (2, 0)
