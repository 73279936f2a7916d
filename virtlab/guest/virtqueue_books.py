"""The driver's books: which numbers are free, and what the device has under the others.

    free     5 -> 0 -> 3               first freed, first taken
    key      1    2    4    6    7     heads (split) or buffer ids (packed)
    number   8    6    5    9    7     the oldest has 5, so the order is 4 2 7 1 6

The idea: a driver must remember what it gave away, for the device may write over the memory of the
queue, or lie. Both layouts remember the same: a token, how many descriptors, how much room, and how
old it is. The numbers run free, one a buffer, so an age is a subtraction.

The rule that keeps it simple: one column an array, with an entry for each key. A scalar call looks
at one entry and a plural call at many, so there is one state and not two.

Source: virtio 1.3 2.7.13, 2.8.21 (a driver gets a free head or id), 2.7.9, 2.8.8 (in order).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Free:
    """The free ones of the numbers 0 to `size` - 1: a queue, at first in ascending order."""

    def __init__(self, size: int) -> None:
        self._ring: Ints = np.arange(size)
        self._taken, self._given = 0, size

    def __len__(self) -> int:
        """How many are free."""
        return self._given - self._taken

    def take(self) -> int:
        """The one that has been free longest. There must be one."""
        number = int(self._ring[self._taken % len(self._ring)])
        self._taken += 1
        return number

    def give(self, number: int) -> None:
        """It is free again."""
        self._ring[self._given % len(self._ring)] = number
        self._given += 1

    def take_many(self, count: int) -> Ints:
        """(count,) what as many times `take` gives. So many must be free."""
        found = cut(self._ring, self._taken, count)
        self._taken += count
        return found

    def give_many(self, numbers: Ints) -> None:
        """`give`, from the first to the last."""
        paste(self._ring, self._given, numbers)
        self._given += len(numbers)

    def numbers(self) -> list[int]:
        """All that are free, next first."""
        return [int(number) for number in cut(self._ring, self._taken, len(self))]


class Held(NamedTuple):
    """One buffer that the device had: its `slots` of the ring, its `room` in writable bytes."""

    token: Any
    slots: int
    room: int


class Outstanding:
    """What the device has, by key: columns of `size`, where `slots` is 0 if it has nothing.

    `number` is one more for each buffer added. `order` has the keys by number, modulo `size`.
    """

    def __init__(self, size: int) -> None:
        self.tokens: npt.NDArray[np.object_] = np.full(size, None, object)
        columns: Ints = np.zeros((4, size), np.int64)
        self.slots, self.room, self.number, self.order = columns

    def __len__(self) -> int:
        """Buffers that the device has."""
        return int(np.count_nonzero(self.slots))

    def __contains__(self, key: int) -> bool:
        """Whether the device has a buffer of this key. Any number may be asked for."""
        return 0 <= key < len(self.slots) and bool(self.slots[key])

    def by_age(self) -> list[int]:
        """The keys of all that the device has, oldest first."""
        keys = np.flatnonzero(self.slots)
        return [int(key) for key in keys[np.argsort(self.number[keys])]]

    def clear(self) -> list[Any]:
        """Forget all. The tokens, oldest first."""
        lost: list[Any] = self.tokens[self.by_age()].tolist()
        self.slots[:] = 0
        self.tokens[:] = None
        return lost

    # -- one

    def add(self, key: int, number: int, held: Held) -> None:
        """The device gets a buffer, under a key that was free."""
        self.tokens[key], self.slots[key], self.room[key] = held
        self.number[key] = number
        self.order[number % len(self.order)] = key

    def at(self, number: int) -> int:
        """The key of the buffer that was added with this number, the last `size` of them."""
        return int(self.order[number % len(self.order)])

    def age(self, key: int) -> int:
        """The number that this buffer was added with."""
        return int(self.number[key])

    def pop(self, key: int) -> Held:
        """It came back."""
        held = Held(self.tokens[key], int(self.slots[key]), int(self.room[key]))
        self.slots[key], self.tokens[key] = 0, None
        return held

    # -- many

    def add_many(
        self, keys: Ints, number: int, tokens: Sequence[Any], slots: Ints, room: Ints
    ) -> None:
        """`add` for (n,) keys, with the numbers from `number` on."""
        self.tokens[keys] = np.fromiter(tokens, object, len(keys))
        self.slots[keys] = slots
        self.room[keys] = room
        self.number[keys] = np.arange(number, number + len(keys))
        paste(self.order, number, keys)

    def at_many(self, number: int, count: int) -> Ints:
        """(count,) the keys of as many buffers from `number` on."""
        return cut(self.order, number, count)

    def pop_many(self, keys: Ints) -> list[Any]:
        """The tokens of (n,) different keys. They came back."""
        tokens: list[Any] = self.tokens[keys].tolist()
        self.slots[keys] = 0
        self.tokens[keys] = None
        return tokens

    def known(self, keys: Ints, shown: int) -> Bools:
        """(n,) whether the device has a buffer of that key, of 0 or more, with number < `shown`."""
        slots, number = (c.take(keys, mode="clip") for c in (self.slots, self.number))
        found: Bools = (keys < len(self.slots)) & (slots > 0) & (number < shown)
        return found


def first_of_each(keys: Ints, size: int) -> Bools:
    """(n,) False for a key that stood before. All are from 0 to `size` - 1.

    >>> first_of_each(np.array([3, 1, 3, 2]), 4).tolist()
    [True, True, False, True]
    """
    places = np.arange(len(keys))
    where = np.empty(size, np.int64)
    # Of two stores to one place the later one stays. Backwards, that is the first.
    where[keys[::-1]] = places[::-1]
    found: Bools = where[keys] == places
    return found


def cut(ring: Ints, position: int, count: int) -> Ints:
    """A copy of `count` entries of `ring` from `position` on, which runs free."""
    start = position % len(ring)
    if start + count <= len(ring):
        return ring[start : start + count].copy()
    return np.concatenate((ring[start:], ring[: start + count - len(ring)]))


def paste(ring: Ints, position: int, values: Ints) -> None:
    """Put `values` into `ring` from `position` on, which runs free."""
    start = position % len(ring)
    before = min(len(values), len(ring) - start)
    ring[start : start + before] = values[:before]
    ring[: len(values) - before] = values[before:]
