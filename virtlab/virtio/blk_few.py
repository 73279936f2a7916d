"""Whether a batch is worth it: how many block requests wait.

    waiting    1    2    3    4  |  5    6    7 ...
               each is taken, served and given back alone  |  all of them as a batch

The idea: a batch has a price of its own, some sixty microseconds, that many requests share. Below
`FEW` of them the scalar path is quicker, and a guest that waits for each answer has one.

To ask costs a few microseconds. So `VirtioBlk` asks only if the last batch was a small one.

The rule that keeps it simple: this is advice. Both ways serve the same requests and leave the same
bytes, so a wrong guess costs time and nothing else. A guest may let it guess wrong.

Source: virtio 1.3 2.7.6, 2.8.1.
"""

from __future__ import annotations

from virtlab.virtio.blk_many import FEW
from virtlab.virtio.device import Queue
from virtlab.virtio.features import Feature
from virtlab.virtio.packed_chain import flags_at
from virtlab.virtio.packed_layouts import is_avail, wrap_at
from virtlab.virtio.split import SplitQueue


def few(queue: Queue) -> bool:
    """Whether fewer than `FEW` requests wait in `queue`. `GuestError` as `queue.available` has it.

    A packed ring does not say how many. So the descriptor is looked at with which the last of so
    many begins, if each takes as few as it can.
    """
    if isinstance(queue, SplitQueue):
        return queue.available() < FEW
    # A request has three descriptors at least, or one for a table of them.
    ahead = (FEW - 1) * (1 if Feature.RING_INDIRECT_DESC in queue.features else 3)
    if ahead >= queue.size:
        return True
    position = queue.last_avail + ahead
    flags = flags_at(queue.dma, queue.rings, position)
    return not is_avail(flags, wrap_at(position, queue.size))
