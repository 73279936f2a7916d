"""Problem set 5: drivers and devices, from a negotiation's first step to a device of one's own.

The idea: the other end is always the library's: a device that watches its driver, a driver that
tries a device. What is right is what the library does with the same; the accesses count, too.

There is a module for each task, and beside it what its judge is made of: `watched_mmio` is the
device that watches, `carried` has a student's device behind a transport. The texts of the tasks are
in `solutions/text/ps05.py`.
"""

from virtlab.course.ps5.block import BLOCK
from virtlab.course.ps5.entropy import ENTROPY
from virtlab.course.ps5.negotiating import NEGOTIATE
from virtlab.course.ps5.receive import RECEIVE
from virtlab.course.ps5.registers import REGISTERS
from virtlab.course.ps5.virtio_random import VIRTIO_RANDOM

TASKS = (NEGOTIATE, ENTROPY, REGISTERS, VIRTIO_RANDOM, BLOCK, RECEIVE)
"""The tasks in order."""
