"""The memory of a client, as the function's DMA reaches it: mapped, or asked for.

    window 0x0, 800 KiB        with a descriptor                  mapped: one array
    window 0xc8000, 96 KiB     with one, to read only             mapped, and writes are refused
    window 0xfffc0000, 256 KiB no descriptor: a ROM               DMA_READ, each time

The idea: a window is addresses (iova) that the function may use. Where the client sends a file for
it, the bytes are in `SharedMemory`, the one of vhost-user, and batches of buffers work as anywhere.
Where it sends none, each access is a message to the client and an answer from it.

The rule that keeps it simple: rights are looked at where a place is looked for. So who has a place
in the array may do there what was asked for. Virtqueues need places: a buffer that can only be
asked for is no buffer.

Source: vfio-user.rst, "Client memory access", "VFIO_USER_DMA_MAP", "VFIO_USER_DMA_UNMAP".
"""

from __future__ import annotations

import errno
from typing import NamedTuple, Protocol

import numpy as np

from virtlab.errors import DmaFault
from virtlab.hosts.vfio_user.messages import Refused
from virtlab.memory import Numbers, Rights
from virtlab.virtio.vhost_user.mapping import MAX_ADDRESS
from virtlab.virtio.vhost_user.messages import ProtocolError
from virtlab.virtio.vhost_user.shared_memory import MAX_BYTES, Shape, SharedMemory

WINDOWS = 256
"""Windows at once: `max_dma_maps`. A PC of QEMU has about twenty."""

MOST_ASKED = 1 << 20
"""Bytes that one access may ask the client for. A driver names the length, so there is a bound."""


class Window(NamedTuple):
    """`size` bytes at the iova `address`, and what the function may do there."""

    address: int
    size: int
    readable: bool = True
    writable: bool = True

    def has(self, iova: int, length: int) -> bool:
        """Whether all of these bytes are in it."""
        return self.address <= iova and iova + length <= self.address + self.size

    def meets(self, iova: int, length: int) -> bool:
        """Whether any of them is."""
        return self.address < iova + length and iova < self.address + self.size

    def allows(self, write: bool) -> bool:
        """Whether the function may write there, or read."""
        return self.writable if write else self.readable


class Ask(Protocol):
    """A client that is asked for bytes. `DmaFault` if it does not give or take them."""

    def dma_read(self, address: int, count: int) -> bytes:
        """`count` bytes at the iova `address`."""

    def dma_write(self, address: int, data: bytes) -> None:
        """Put `data` there."""


class ClientMemory(SharedMemory):
    """The windows of one client. At first there are none. `ask` is for those that are not mapped.

    A `Flat` over what is mapped; `read` and `write` reach the rest too. An access lies in one
    window, or it is a `DmaFault`.
    """

    def __init__(self, ask: Ask, limit: int = MAX_BYTES) -> None:
        super().__init__(limit, WINDOWS)
        self._ask = ask
        self._windows: dict[int, Window] = {}
        self._limited: list[Window] = []  # those that are mapped, and have not both rights

    @property
    def windows(self) -> list[Window]:
        """All of them, by address."""
        return [self._windows[address] for address in sorted(self._windows)]

    # -- changing it

    def map(self, window: Window, fd: int | None = None, offset: int = 0) -> None:
        """Have one window more; `fd`, which stays the caller's, has its bytes from `offset` on.

        `Refused` if that cannot be; then all is as it was.
        """
        address, size, readable, writable = window
        if not size or address + size > MAX_ADDRESS:
            raise Refused(errno.EINVAL, f"a window of {size:#x} bytes at {address:#x}")
        # A command to map over an existing region must be failed with EEXIST.
        for other in self._windows.values():
            if other.meets(address, size):
                raise Refused(errno.EEXIST, f"{address:#x} overlaps a window at {other.address:#x}")
        if len(self._windows) == WINDOWS:
            raise Refused(errno.ENOSPC, f"more than {WINDOWS} windows")
        if fd is not None and self._mapped_from(window, fd, offset) and not (readable and writable):
            self._limited.append(window)
        self._windows[address] = window

    def _mapped_from(self, window: Window, fd: int, offset: int) -> bool:
        """Map it, if that can be: a file that cannot be written is still good to be asked for."""
        try:
            self.add(Shape(window.address, window.size, window.address, offset), fd)
        except ProtocolError as error:
            if window.writable:
                raise Refused(errno.EINVAL, error.why) from None
            return False
        return True

    def unmap(self, address: int, size: int) -> None:
        """Have one window less. Address and size must match exactly, or it is `Refused`."""
        window = self._windows.get(address)
        if window is None or window.size != size:
            raise Refused(errno.ENOENT, f"no window of {size:#x} bytes at {address:#x}")
        del self._windows[address]
        self._limited = [each for each in self._limited if each != window]
        for shape in self.shapes:
            if shape.guest == address:
                self.remove(shape)

    def unmap_all(self) -> None:
        """Have none any more."""
        for window in self.windows:
            self.unmap(window.address, window.size)

    def close(self) -> None:
        """No memory for ever: the client is gone."""
        self._windows.clear()
        self._limited.clear()
        super().close()

    # -- where it is mapped

    def offset(self, iova: int, length: int = 1, write: bool = False) -> int:
        """See `Flat`. `DmaFault` where the bytes are not mapped, or there is no such right."""
        place = super().offset(iova, length, write)
        for window in self._limited:
            if window.meets(iova, length) and not window.allows(write):
                raise DmaFault(_refusal(write), iova, length)
        return place

    def offset_many(self, iovas: Numbers, lengths: Numbers, write: Rights = None) -> Numbers:
        """See `Flat`: the same for many, -1 where that would raise."""
        places = super().offset_many(iovas, lengths, write)
        for window in self._limited if len(iovas) else ():
            met = (iovas < window.address + window.size) & (iovas + lengths > window.address)
            if write is None:
                places[met] = -1
            else:
                allowed = np.where(write, window.writable, window.readable)
                places[met & ~allowed] = -1
        return places

    # -- what the function does

    def read(self, iova: int, length: int) -> bytes:
        """A copy of `length` bytes at `iova`."""
        try:
            return super().read(iova, length)
        except DmaFault:
            self._asked(iova, length, write=False)
        return self._ask.dma_read(iova, length)

    def write(self, iova: int, data: bytes | bytearray | memoryview) -> None:
        """Put `data` at `iova`."""
        try:
            place = self.offset(iova, len(data), write=True)
        except DmaFault:
            self._asked(iova, len(data), write=True)
            self._ask.dma_write(iova, bytes(data))
        else:
            self._view[place : place + len(data)] = bytes(data)

    def _asked(self, iova: int, length: int, write: bool) -> None:
        """`DmaFault` unless the client can be asked for these bytes, which have no place here."""
        for window in self._windows.values() if length <= MOST_ASKED else ():
            if window.has(iova, length):
                if window.allows(write):
                    return
                raise DmaFault(_refusal(write), iova, length)
        raise DmaFault("no memory there", iova, length)


def _refusal(write: bool) -> str:
    return f"the client lets nobody {'write' if write else 'read'} there"
