"""Devices for the tests of transports: one that notes all that is asked of it."""

from __future__ import annotations

from virtlab.virtio.device import VirtioDevice, waiting
from virtlab.virtio.status import DeviceId


class Echo(VirtioDevice):
    """What a chain says to it, it says back. Two queues; 12 bytes of configuration, 4 writable.

    `calls` are the queues that it was asked to handle, `resets` and `queue_resets` what the name
    says. `interfere` is called in the middle of each chain.
    """

    device_id = DeviceId.NETWORK
    WRITABLE = range(4, 8)

    def __init__(self, queue_sizes=(8, 16), features=(), config=bytes(range(12))):
        super().__init__(queue_sizes, features)
        self.config = config
        self.calls, self.resets, self.queue_resets, self.served = [], 0, [], 0
        self.interfere = lambda: None

    def handle(self, index, queue):
        self.calls.append(index)
        for chain in waiting(queue):
            said = chain.read(queue.dma)
            self.interfere()
            queue.push(chain, chain.write(queue.dma, said))
            self.served += 1

    def reset(self):
        self.resets += 1

    def queue_reset(self, index):
        self.queue_resets.append(index)

    def write_config(self, offset, data):
        if not all(at in self.WRITABLE for at in range(offset, offset + len(data))):
            return False
        self.config = self.config[:offset] + data + self.config[offset + len(data) :]
        return True
