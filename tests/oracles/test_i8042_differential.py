"""Our keyboard controller, keyboard and mouse against QEMU's: random talks, every answer compared.

Virtual time stands still in QEMU, so no key can be pressed. What is compared is commands, answers,
status and both interrupt lines.

In the random run a driver reads an answer before it asks the same one again. Where it does not,
and in a few other places, the two differ for good; `DIFFERENT` has one short run for each.

Left out are commands that QEMU does not know: A4, E0, the controller's RAM but byte 0, FE to a
device; and how a device answers a wrong byte.
"""

from __future__ import annotations

import random

import pytest

from tests.needs import needs_qemu
from tests.oracles.differential import (
    Access,
    Both,
    Deviation,
    answers,
    ask,
    explain,
    reads,
    run_both,
    tell,
)
from virtlab.bus import AddressSpace
from virtlab.devices.i8042 import I8042, Port92
from virtlab.devices.i8042.registers import COMMAND_BYTE
from virtlab.hosts.remote import QtestMachine

DATA, COMMAND, FAST = 0x60, 0x64, 0x92
STATUS = COMMAND

QUESTIONS = [0x20, 0xA9, 0xAA, 0xAB, 0xC0, 0xD0]
SWITCHES = [0xA7, 0xA8, 0xAD, 0xAE, 0xDD, 0xDF, 0xF1, 0xFF]
MODES = [0x03, 0x43, 0x47, 0x40, 0x61, 0x63, 0x53, 0x73, 0x00, 0x01, 0x02]
# fmt: off
KEYBOARD = [
    [0xEE], [0xF2], [0xF4], [0xF5], [0xF6], [0xFF], [0xED, 0x00], [0xED, 0x07], [0xF3, 0x00],
    [0xF3, 0x7F], [0xF0, 0x00], [0xF0, 0x01], [0xF0, 0x02], [0xF0, 0x03], [0xF0, 0x03, 0xF0, 0x00],
]
MOUSE = [
    [0xE6], [0xE7], [0xE8, 0x00], [0xE8, 0x03], [0xE9], [0xEA], [0xEB], [0xF0], [0xF2], [0xF4],
    [0xF5], [0xF6], [0xFF], [0xF3, 10], [0xF3, 60], [0xF3, 200, 0xF3, 100, 0xF3, 80],
    [0xF3, 200, 0xF3, 200, 0xF3, 80], [0xEE, 0x12, 0xE9, 0xEC], [0xEE, 0xEE, 0xF4, 0xEC],
]
# fmt: on

TALKS = {
    "ask": ("controller", 6),
    "put": ("controller", 2),
    "keyboard": ("device", 6),
    "mouse": ("device", 6),
    "switch": ("mode", 3),
    "mode": ("mode", 3),
    "port": ("mode", 1),
    "gate": ("port 92h", 1),
}
"""What a driver may do: to whom it talks, and how often it does."""

DRAIN = [ask(STATUS), ask(DATA)] * 6
"""More than the longest answer has."""


def accesses(seed: int, count: int) -> list[Access]:
    """A look at every port after reset, then `count` random accesses, the same for a seed.

    A driver may stop reading an answer half-way and talk to somebody else. It reads everything
    before it talks to the same one again, or sets how the controller works.
    """
    rng, unread = random.Random(seed), set[str]()
    found = [ask(STATUS), ask(DATA), ask(FAST), tell(COMMAND, 0xD4), tell(DATA, 0xF6), *DRAIN]
    end = len(found) + count
    while len(found) < end:
        kind = rng.choices(list(TALKS), [often for _, often in TALKS.values()])[0]
        who, _ = TALKS[kind]
        if who in unread or (who == "mode" and unread):
            found += DRAIN
            unread.clear()
        unread.add(who)
        found += talk(kind, rng)
        found += [ask(STATUS), ask(DATA)] * rng.choice([0, 1, 2, 3, 6]) + [ask(STATUS)]
    return found


def talk(kind: str, rng: random.Random) -> list[Access]:
    """One thing that a driver might want."""
    match kind:
        case "ask":
            return [tell(COMMAND, rng.choice(QUESTIONS))]
        case "put":
            return [tell(COMMAND, rng.choice([0xD2, 0xD3])), tell(DATA, rng.randrange(256))]
        case "keyboard":
            return to_device([], rng.choice(KEYBOARD))
        case "mouse":
            return to_device([tell(COMMAND, 0xD4)], rng.choice(MOUSE))
        case "switch":
            return [tell(COMMAND, rng.choice(SWITCHES))]
        case "mode":
            mode = rng.choice([*MODES, rng.randrange(256)])
            return [tell(COMMAND, 0x60), tell(DATA, mode)]
        case "port":
            return [tell(COMMAND, 0xD1), tell(DATA, rng.randrange(256) & 0xCF | 0x01)]
        case _:
            return [tell(FAST, rng.choice([0x00, 0x02])), ask(FAST)]


def to_device(way: list[Access], data: list[int]) -> list[Access]:
    """Every byte of `data` to a device, and all of each answer but the last one's."""
    first, *others = data
    found = [*way, tell(DATA, first)]
    for byte in others:
        found += [*DRAIN, *way, tell(DATA, byte)]
    return found


def board() -> tuple[AddressSpace, I8042, Port92]:
    """Our controller at its two ports, and port 92h."""
    ports = AddressSpace("port", 16, max_size=4)
    chip, fast = I8042(), Port92()
    ports.map(DATA, 1, chip.data_port)
    ports.map(STATUS, 1, chip.command_port)
    ports.map(FAST, 1, fast)
    return ports, chip, fast


def silenced(pair: Both, before: Both) -> bool:
    """A byte came while the keyboard was disabled: QEMU holds IRQ 1 down until it is read."""

    def only_ours(one: Both) -> bool:
        return one.our_irqs == {1} and not one.their_irqs and one.ours == one.theirs

    disabled = COMMAND_BYTE.DISABLE.get(pair.state["COMMAND_BYTE"]) == 1
    same_byte = only_ours(before) and pair.access != ask(DATA)._replace(seq=pair.access.seq)
    return only_ours(pair) and (disabled or same_byte)


def two_wires(pair: Both, _: Both) -> bool:
    """The answer to D0 while the mouse's byte waits: QEMU has both interrupt wires up."""
    return pair.ours & 0x30 == 0x20 and pair.theirs == pair.ours | 0x10


DEVIATIONS = [
    Deviation(
        "no IRQ 1 while the keyboard is disabled",
        "Command byte, bit 0: an interrupt when keyboard or controller data is placed in the output"
        " buffer. Bit 4 stops the keyboard's clock, and nothing else.",
        silenced,
    ),
    Deviation(
        "D0 says IRQ 1 for the mouse's byte",
        "Output port, bits 4 and 5: the buffer is full of the keyboard's data (IRQ 1), or of the"
        " mouse's (IRQ 12). QEMU sets bit 4 in both cases.",
        two_wires,
    ),
]


@needs_qemu
@pytest.mark.parametrize("seed", range(4))
def test_random_talks_get_the_same_answers(seed):
    ports, chip, _ = board()
    with QtestMachine("pc", paused=True) as machine:
        lines = {1: chip.irq1, 12: chip.irq12}
        pairs = run_both(machine, ports, lines, accesses(seed, 20_000), chip.peek)
    explain(pairs, DEVIATIONS)


def mouse(*data: int) -> list[Access]:
    """Bytes to the mouse, each followed by a read of one byte."""
    return [each for byte in data for each in (tell(COMMAND, 0xD4), tell(DATA, byte), ask(DATA))]


DIFFERENT = {
    "the mouse starts with its defaults": (
        # Auxiliary Device: resolution 02, rate 100. QEMU starts with 00 and 0, until F6 or FF.
        [*mouse(0xE9), *[ask(DATA)] * 3, *mouse(0xF6, 0xE9), *[ask(DATA)] * 3],
        [0xFA, 0x00, 0x02, 0x64, 0xFA, 0xFA, 0x00, 0x02, 0x64],
        [0xFA, 0x00, 0x00, 0x00, 0xFA, 0xFA, 0x00, 0x02, 0x64],
    ),
    "every byte to the mouse is answered, also EC outside of wrap mode": (
        # Auxiliary Device, "Commands": each is answered with FA, but in wrap mode. QEMU: nothing.
        [*mouse(0xF4), ask(STATUS), tell(COMMAND, 0xD4), tell(DATA, 0xEC), ask(STATUS)],
        [0xFA, 0x18, 0x39],
        [0xFA, 0x18, 0x18],
    ),
    "reset ends the mouse's wrap mode": (
        # Auxiliary Device, FF: "... into its default mode". QEMU goes on echoing.
        [*mouse(0xEE, 0xFF), ask(DATA), ask(DATA), *mouse(0xF4)],
        [0xFA, 0xFA, 0xAA, 0x00, 0xFA],
        [0xFA, 0xFA, 0xAA, 0x00, 0xF4],
    ),
    "D1 cannot write the output port's two interrupt wires": (
        # "Output Port", bits 4 and 5: IRQ 1 and IRQ 12. QEMU reads back what was written.
        [tell(COMMAND, 0xD1), tell(DATA, 0xFF), tell(COMMAND, 0xD0), ask(DATA)],
        [0xCF],
        [0xFF],
    ),
    "the output buffer keeps its byte until it is read": (
        # Status, bit 0. QEMU hands out the newer answer, and the older one is lost.
        [tell(COMMAND, 0xAA), tell(COMMAND, 0xC0), ask(DATA), ask(STATUS), ask(DATA)],
        [0x55, 0x1D, 0x80],
        [0x80, 0x1C, 0x80],
    ),
    "a new command to a device does not empty the output buffer": (
        # The same; QEMU's byte stays in the device until port 60h is read.
        [tell(DATA, 0xEE), tell(DATA, 0xF4), ask(DATA), ask(STATUS), ask(DATA)],
        [0xEE, 0x19, 0xFA],
        [0xFA, 0x18, 0xFA],
    ),
    "the keyboard goes before the mouse": (
        # No clause says who goes first when both wait. In QEMU they take turns.
        [tell(DATA, 0xF2), *mouse(0xF4), *[ask(DATA)] * 3],
        [0xFA, 0xAB, 0x83, 0xFA],
        [0xFA, 0xFA, 0xAB, 0x83],
    ),
    "the controller translates what it passes on, not the keyboard what it says": (
        # Command byte, bit 6, changed half-way through an answer.
        [tell(DATA, 0xF2), ask(DATA), tell(COMMAND, 0x60), tell(DATA, 0x40), *[ask(DATA)] * 2],
        [0xFA, 0xAB, 0x41],
        [0xFA, 0xAB, 0x83],
    ),
}
"""Where the two differ: the accesses, what ours reads, and what QEMU's reads."""


@needs_qemu
@pytest.mark.parametrize("name", DIFFERENT)
def test_where_the_two_differ(name):
    run, ours, theirs = DIFFERENT[name]
    ports, _, _ = board()
    with QtestMachine("pc", paused=True) as machine:
        assert (answers(ports, run), reads(machine.pipeline(run))) == (ours, theirs)


RESETS = {
    "FE": [tell(COMMAND, 0xFE)],
    "F0": [tell(COMMAND, 0xF0)],
    "D1 with bit 0 clear": [tell(COMMAND, 0xD1), tell(DATA, 0xDE)],
    "port 92h bit 0": [tell(FAST, 0x01)],
}


@needs_qemu
@pytest.mark.parametrize("way", RESETS)
def test_the_processor_is_reset_the_same_ways(way):
    """QEMU resets the whole machine, so this is not for the random run."""
    ports, chip, fast = board()
    pulses = []
    chip.reset_line.sink = fast.reset_line.sink = pulses.append
    answers(ports, RESETS[way])
    assert pulses[0] is True
    with QtestMachine("pc", paused=True) as machine:
        machine.pipeline(RESETS[way])
        machine.settle()
        machine.qmp("query-status")
        assert list(machine.events) == ["RESET"]
