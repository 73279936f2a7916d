"""Our I/O APIC against QEMU's: random entries, lines and EOIs; every register compared.

QEMU's lines are moved by qtest's `set_irq_in`. What was sent shows in the registers as remote IRR,
and in the local APIC, whose requests the monitor lists.
"""

from __future__ import annotations

import random
import re

import pytest

from tests.needs import needs_qemu
from virtlab.bus import AddressSpace
from virtlab.devices.ioapic import BASE, PINS, IoApic
from virtlab.devices.lapic import ApicBus, Lapic
from virtlab.hosts.remote import QtestMachine

LEVEL, MASK = 1 << 15, 1 << 16
CHIP = "/machine/q35/ioapic unnamed-gpio-in"
UNUSED = (0, 2)
"""QEMU gives input 0 the entry of input 2, and its timer moves both."""


class Two:
    """Both chips behind the same verbs."""

    def __init__(self, machine):
        self.machine = machine
        self.lapic = Lapic()
        self.lapic.write(0xF0, 4, 0x1FF)
        self.ours = IoApic(ApicBus([self.lapic]).message)
        self.memory = AddressSpace("memory", 52)
        self.memory.map(BASE, IoApic.length, self.ours, "ioapic", width=4)

    def write(self, offset, value, size=4):
        self.memory.write(BASE + offset, size, value)
        self.machine.store(BASE + offset, value, size)

    def set(self, index, value):
        self.write(0, index)
        self.write(0x10, value)

    def line(self, n, up):
        self.ours.lines[n].set(up)
        self.machine.command(f"set_irq_in {CHIP} {n} {int(up)}")

    def registers(self):
        """Every register of both, as `(ours, theirs)`."""
        found = []
        for index in (0, 1, 2, *range(0x10, 0x10 + 2 * PINS)):
            self.write(0, index)
            found.append((self.memory.read(BASE + 0x10, 4), self.machine.load(BASE + 0x10)))
        return found

    def requests(self):
        """The vectors in IRR, of ours and of theirs."""
        words = self.machine.qmp("human-monitor-command", **{"command-line": "info lapic"})
        line = re.search(r"^IRR\t(.*)$", words, re.MULTILINE)[1]
        theirs = {int(number) for number in re.findall(r"\d+", line.replace("(level)", ""))}
        ours = self.lapic.vectors.irr
        return {n for n in range(256) if ours >> n & 1}, theirs


@pytest.fixture
def two():
    with QtestMachine("q35", paused=True) as machine:
        yield Two(machine)


def step(rng, two):
    """One random thing: an entry, a line, an EOI."""
    n = rng.choice([n for n in range(PINS) if n not in UNUSED])
    vector = rng.randrange(0x20, 0x30)
    match rng.randrange(4):
        case 0:
            entry = vector | rng.choice([0, LEVEL, MASK, LEVEL | MASK])
            if (entry ^ two.ours.entries[n]) & LEVEL:
                two.line(n, False)  # see the deviations below
            two.set(0x10 + 2 * n, entry)
        case 1:
            two.write(0x40, vector)
        case _:
            two.line(n, rng.random() < 0.5)


@needs_qemu
@pytest.mark.parametrize("seed", range(2))
def test_random_entries_lines_and_eois_leave_the_same_registers(two, seed):
    rng = random.Random(seed)
    for turn in range(1_200):
        step(rng, two)
        if turn % 40 == 0:
            ours, theirs = zip(*two.registers(), strict=True)
            assert ours == theirs, turn
            assert len(set.union(*two.requests())) == len(set.intersection(*two.requests()))
    assert two.requests()[0]


@needs_qemu
def test_random_words_in_every_register(two):
    rng = random.Random(3)
    for _ in range(300):
        index = rng.choice([0, 1, 2, 3, 0x0F, *range(0x10, 0x42)])
        if (index - 0x10) // 2 in UNUSED:
            continue
        word = rng.getrandbits(32)
        high = index >= 0x10 and index & 1
        two.set(index, word & 0xFFFF_0000 if high else (word | MASK) & 0x1_FFFF)
    ours, theirs = zip(*two.registers(), strict=True)
    assert ours == theirs


@needs_qemu
def test_deviation_qemu_forgets_an_input_that_was_up_before_it_was_level_triggered(two):
    """82093AA 3.2.4, Trigger Mode: a level is what the input is, not what it once became."""
    two.set(0x10 + 10, 0x31)
    two.line(5, True)
    two.set(0x10 + 10, 0x31 | LEVEL)
    ours, theirs = two.registers()[3 + 10]
    assert (ours, theirs) == (0x31 | LEVEL | 1 << 14, 0x31 | LEVEL)


@needs_qemu
def test_deviation_qemu_makes_a_waiting_level_an_edge(two):
    """82093AA 3.2.4, Interrupt Mask: there is no edge where nothing rises."""
    two.set(0x10 + 10, 0x31 | LEVEL | MASK)
    two.line(5, True)
    two.set(0x10 + 10, 0x31)
    assert two.requests() == (set(), {0x31})
