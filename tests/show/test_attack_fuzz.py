"""Rings that nobody meant: each is answered or refused by a known clause, and nobody is harmed."""

import numpy as np
import pytest

from tests.show.looks import words_of
from virtlab.show import attack_fuzz, bars
from virtlab.show.attack_fuzz import MEANING, fuzz, named, scribble
from virtlab.show.attack_hand import Hand
from virtlab.show.attack_memory import KEY, Process
from virtlab.show.attack_run import Checked
from virtlab.virtio.status import Status


def test_each_ring_is_answered_or_refused_and_nobody_is_harmed():
    found = fuzz(200)
    assert found.rings == 200 == found.answered + sum(found.refused.values())
    assert found.harmed == 0
    assert found.answered > 50
    assert len(found.refused) > 6
    assert set(found.refused) <= set(MEANING)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_five_thousand():
    found = fuzz(5_000, seed=1)
    assert set(found.refused) == set(MEANING)
    assert found.harmed == 0


def test_the_same_seed_tries_the_same_rings():
    assert fuzz(40) == fuzz(40)
    assert fuzz(40) != fuzz(40, seed=2)


def test_a_ring_with_nothing_spoiled_is_answered():
    class Calm:
        """Draws what is right: no number is spoiled."""

        def integers(self, low, high):
            return low

        def permutation(self, values):
            return np.array(values)

    hand = Hand(Process())
    hand.side = device = Checked(hand.process, hand)
    scribble(hand, Calm())
    hand.ring()
    assert hand.used_idx() == 2
    assert not device.core.status & Status.DEVICE_NEEDS_RESET


def test_harm_would_be_counted(monkeypatch):
    class Leaky(Checked):
        """A device that overwrites a byte of the key."""

        def ring(self, queue):
            self.process.write(KEY.start, b"?")

        def __init__(self, process, hand):
            super().__init__(process, hand)
            self.process = process

    monkeypatch.setattr(attack_fuzz, "Checked", Leaky)
    assert fuzz(3).harmed == 3


def test_clauses_stand_in_the_order_of_the_specification():
    counts = named({"2.7.13.1": 1, "5.2.6": 2, "2.7.4.2": 3, "2.7": 4, "9.9": 5})
    assert list(counts) == [
        "2.7 over the ring itself",
        "2.7.4.2 readable comes last",
        "2.7.13.1 a buffer of 0 bytes",
        "5.2.6 no head, or no status",
        "9.9",
    ]


def test_every_name_fits_beside_its_bar():
    drawn = bars("fuzz", named(dict.fromkeys(MEANING, 1)))
    assert not any(word.endswith("…") for word in words_of(drawn))
