"""A hostile front-end never crashes the back-end, leaks a descriptor or reaches beyond its memory.

Beyond the regions the reservation has no access, so a stray access would end the test run itself.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.virtio.vhost_user.hostile import attack

MESSAGES = 8_000


@pytest.mark.volume
@pytest.mark.parametrize("seed", range(4))
def test_messages_that_are_nearly_right(seed):
    ends = attack(MESSAGES // 4, seed)
    # It is a fair attack: sessions end in many ways, and not all at once.
    reasons = {end.why.split(":")[0] for end in ends if end is not None}
    assert len(reasons) > 10
    assert len(ends) < MESSAGES // 4 // 10


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 105))
def test_a_hundred_thousand_messages(seed):
    attack(100_000 // 5, seed)


def test_a_few_of_them():
    attack(400, seed=9)


def test_a_stray_access_would_be_noticed():
    """The guard is no formality: a byte behind the last region ends the process."""
    program = """
import os
from virtlab.virtio.vhost_user.shared_memory import Shape, SharedMemory
fd = os.memfd_create("ram")
os.ftruncate(fd, 4096)
memory = SharedMemory()
memory.add(Shape(0, 4096, 0, 0), fd)
memory.bytes[memory.offset(0) + 4095] = 1
print("inside", flush=True)
memory.bytes[memory.offset(0) + 4096] = 1
print("outside", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, env=dict(os.environ)
    )
    assert done.stdout == b"inside\n"
    assert done.returncode == -11
