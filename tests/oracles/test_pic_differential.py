"""Our pair of 8259As against QEMU's: random words to every port, every answer compared.

QEMU raises interrupts from its devices only, and its virtual clock stands still. So this compares
what no request is needed for: initialization, masks, modes, which register is read, polls.
"""

from __future__ import annotations

import random

import pytest

from tests.needs import needs_qemu
from tests.oracles.differential import ask, explain, run_both, tell
from virtlab.bus import AddressSpace
from virtlab.devices.pic import PicPair
from virtlab.hosts.remote import QtestMachine

CHIPS = (0x20, 0xA0)
ELCR = (0x4D0, 0x4D1)
PIT_COMMAND, CHANNEL_0_LOW = 0x43, 0x30
"""The timer's output follows its mode: in mode 0, with no count, it is low."""


def accesses(seed, count):
    """`count` accesses, the same for the same seed."""
    rng, found = random.Random(seed), []
    while len(found) < count:
        chip = rng.choice(CHIPS)
        match rng.choices(("start", "mask", "ocw2", "ocw3", "elcr", "any"), (2, 4, 3, 4, 1, 2))[0]:
            case "start":
                found.append(tell(chip, 0x10 | rng.choice([0, 1, 2, 3, 4, 7])))
                found += [tell(chip + 1, rng.randrange(256)) for _ in range(rng.randrange(5))]
            case "mask":
                found.append(tell(chip + 1, rng.randrange(256)))
            case "ocw2":
                found.append(tell(chip, rng.randrange(8) << 5 | rng.randrange(8)))
            case "ocw3":
                found.append(tell(chip, 0x08 | rng.randrange(4) << 5 | rng.randrange(8)))
            case "elcr":
                found.append(tell(rng.choice(ELCR), rng.randrange(256)))
            case "any":
                found.append(tell(chip + rng.randrange(2), rng.randrange(256) & ~0x08))
        ports = [0x20, 0x21, 0xA0, 0xA1, *ELCR]
        found += [ask(port) for port in rng.sample(ports, 2)]
    return found


@needs_qemu
@pytest.mark.parametrize("seed", range(2))
def test_random_words_get_the_same_answers(seed):
    pair = PicPair()
    ports = AddressSpace("port", 16, max_size=4)
    ports.map(0x20, 2, pair.master)
    ports.map(0xA0, 2, pair.slave)
    ports.map(0x4D0, 2, pair.elcr)
    with QtestMachine("pc", paused=True) as machine:
        machine.out(PIT_COMMAND, CHANNEL_0_LOW)
        explain(run_both(machine, ports, {}, accesses(seed, 10_000)))
