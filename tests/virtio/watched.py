"""What a driver really does: each call to its transport, and each chain that it places.

A device whose `handle` is watched has memory that is no array, so it takes its chains one by one.
"""

from __future__ import annotations

from typing import NamedTuple


class Seen(NamedTuple):
    """A chain of queue `index`: its pieces, `(bytes, whether the device writes)`, what it says."""

    index: int
    pieces: list[tuple[int, bool]]
    data: bytes

    @property
    def readable(self):
        return [length for length, write in self.pieces if not write]

    @property
    def writable(self):
        return [length for length, write in self.pieces if write]


class Plain:
    """Memory that is no `Flat`."""

    def __init__(self, dma):
        self.read, self.write, self.view = dma.read, dma.write, dma.view


class Watched:
    """`queue`, whose chains are noted in `seen`; `before_used` is called when one goes back."""

    def __init__(self, queue, index, seen, before_used):
        self._queue, self._index, self._seen = queue, index, seen
        self._before_used = before_used
        self.dma = Plain(queue.dma)

    def __getattr__(self, name):
        return getattr(self._queue, name)

    def pop(self):
        chain = self._queue.pop()
        if chain is not None:
            pieces = [(each.length, each.write) for each in chain.buffers]
            self._seen.append(Seen(self._index, pieces, bytes(chain.read(self.dma))))
        return chain

    def push(self, chain, written=0):
        self._before_used(self._index)
        self._queue.push(chain, written)


def watch(device, before_used=lambda index: None):
    """The chains that `device` takes from now on."""
    seen, handle = [], device.handle
    device.handle = lambda index, queue: handle(index, Watched(queue, index, seen, before_used))
    return seen


class Spy:
    """`transport`, whose calls are noted in `log` as `(name, arguments...)`."""

    def __init__(self, transport):
        self._transport = transport
        self.log = []

    def __getattr__(self, name):
        value = getattr(self._transport, name)
        if not callable(value):
            return value

        def call(*arguments):
            self.log.append((name, *arguments))
            return value(*arguments)

        return call

    def calls(self, name):
        """The arguments of each call of `name`, in order."""
        return [arguments for called, *arguments in self.log if called == name]
