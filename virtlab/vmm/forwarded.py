"""A physical device as the VMM reaches it: each access is made again, at the host's bus.

The idea: to the VM's address space it is a device like any other. Behind it is no model, but the
host's own space, and in it whoever answers there. A VMM forwards a dedicated device with it, and a
mediator speaks through it to the card whose registers it reads along.
"""

from __future__ import annotations

from virtlab.bus import AddressSpace


class Forwarded:
    """A virtual device that is the physical one at `base` of the host's `space`."""

    def __init__(self, space: AddressSpace, base: int) -> None:
        self.space = space
        self.base = base

    def read(self, offset: int, size: int) -> int:
        """What the physical device answers."""
        return self.space.read(self.base + offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """The physical device gets it."""
        self.space.write(self.base + offset, size, value)
