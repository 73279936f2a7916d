"""A hostile client never crashes the server, leaks a descriptor or reaches beyond its memory."""

from __future__ import annotations

import pytest

from tests.hosts.vfio_user.hostile import attack

MESSAGES = 2000


@pytest.mark.volume
def test_messages_that_are_nearly_right():
    ends = attack(MESSAGES, seed=1)
    # It is a fair attack: sessions end in several ways, and not all at once.
    reasons = {str(end).split(":")[-1] for end in ends if end is not None}
    assert len(reasons) > 4
    assert len(ends) < MESSAGES // 20


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 104))
def test_forty_thousand_messages(seed):
    attack(40_000 // 4, seed)


def test_a_few_of_them():
    attack(200, seed=9)
