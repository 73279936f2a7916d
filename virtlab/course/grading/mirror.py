"""What both sides hold: lists, dicts, sets, bytearrays and records that can change, kept alike.

    this side   [1, 2]  --- number 3 --->  [1, 2]   the other side
    then [1, 2, 9]      --- 3: [1, 2, 9] ->         with the next frame, whoever sends it

The idea: an answer that keeps a list, changes it or gives the same one back must see what it would
see in one process. So each such object has a number and a twin, and each frame says what has
changed in them since the last frame. A bytearray says only the bytes that differ.

The rule that keeps it simple: only one side runs at a time. So a change is always older than the
frame that brings it, and no two sides change a thing at once.

An object that only the book still holds is dropped: nobody can change it, or tell that it is
another one the next time. Everything is forgotten when a case ends.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from virtlab.course.grading.kinds import FIXED, KINDS, Broken, Kind

if TYPE_CHECKING:
    from virtlab.course.grading.values import Codec

MAX_OBJECTS = 20_000
"""Objects that a book may hold."""

MAX_WEIGHT = 32 << 20
"""Items and bytes in all of them together."""

MAX_HASHED = 5_000
"""Items of one dict or set: keys can be chosen so that each new one costs more than the last."""

ALONE = 2
"""References to an object that only its entry holds, as `sys.getrefcount` counts."""


class Entry:
    """An object of the book: its `number`, the object, and what the other side knows of it."""

    __slots__ = ("before", "kind", "number", "thing", "weight")

    def __init__(self, number: int, thing: Any, kind: Kind) -> None:
        self.number, self.thing, self.kind = number, thing, kind
        self.note()

    def note(self) -> None:
        """The other side knows it as it is now."""
        self.before = self.kind.parts(self.thing)
        self.weight = len(self.before) + 1

    def write(self, codec: Codec) -> list[Any]:
        """The change as it goes into a frame; from then on the other side knows it."""
        data = self.kind.write(codec, self.thing, self.before)
        self.before = self.kind.renewed(self.thing, self.before, data)
        return [self.number, data]


class Book:
    """One side's list of the objects that both hold. `codec` writes and reads their parts.

    Numbers of this side go on from `first` in steps of 2: even ones are the judge's. He drops a
    record that he alone holds. A child does not: an answer may have hung something on it.
    """

    codec: Codec

    def __init__(self, first: int) -> None:
        self.entries: dict[int, Entry] = {}
        self.watched: dict[int, Entry] = {}
        self.resting: dict[int, Entry] = {}
        self.numbers: dict[int, int] = {}
        self.next = first
        self.weight = 0

    def forget(self) -> None:
        """All of it: a case is over."""
        self.entries.clear()
        self.watched.clear()
        self.resting.clear()
        self.numbers.clear()
        self.weight = 0

    def rest(self) -> None:
        """A new call: records of the calls before are not looked at until they come up again."""
        for number, entry in [*self.watched.items()]:
            if entry.kind.lasting:
                self.resting[number] = self.watched.pop(number)

    # -- into the book

    def add(self, thing: Any, kind: Kind) -> Entry:
        """A new object of this side."""
        self.next += 2
        return self._enter(thing, kind, self.next - 2)

    def take(self, thing: Any, kind: Kind, number: object) -> Entry:
        """A new object of the other side, which chose its number."""
        if type(number) is not int or number in self.entries or (number ^ self.next) & 1 == 0:
            raise Broken("a number that is taken")
        return self._enter(thing, kind, number)

    def _enter(self, thing: Any, kind: Kind, number: int) -> Entry:
        entry = Entry(number, thing, kind)
        self.weight += entry.weight
        if len(self.entries) >= MAX_OBJECTS or self.weight > MAX_WEIGHT:
            raise Broken("too much at once")
        self.entries[number] = entry
        self.numbers[id(thing)] = number
        if kind is not FIXED:
            self.watched[number] = entry
        return entry

    def of(self, thing: Any) -> Any:
        """An object as it goes into a frame: its number, and its parts if it is new."""
        number = self.numbers.get(id(thing))
        if number is not None:
            return self.again(number)
        letter, kind = KINDS[type(thing)]
        entry = self.add(thing, kind)
        if letter == "y":
            self.codec.blobs.append(bytes(thing))
            return [letter, entry.number, len(thing)]
        return [letter, entry.number, *kind.write(self.codec, thing, None)]

    def again(self, number: int) -> Any:
        """A known object as it goes into a frame, with its changes if it has rested."""
        entry = self.resting.pop(number, None)
        if entry is None:
            return ["m", number]
        self.watched[number] = entry
        return ["m", *entry.write(self.codec)]

    def known(self, data: list[Any]) -> Any:
        """The object of a number, changed as it says there."""
        number = data[1] if type(data[1]) is int else 0
        entry = self.entries.get(number)
        if entry is None:
            raise Broken("an object that was not given")
        if number in self.resting:
            self.watched[number] = self.resting.pop(number)
        if len(data) > 2 and number in self.watched:
            self._read(entry, data[2])
        return entry.thing

    def new_list(self, data: list[Any]) -> Any:
        """A list from the other side."""
        return self._filled([], [*data[:2], 0, 0, *data[2:]])

    def new_dict(self, data: list[Any]) -> Any:
        """A dict from the other side."""
        return self._filled({}, data)

    def new_set(self, data: list[Any]) -> Any:
        """A set from the other side."""
        return self._filled(set(), data)

    def new_bytes(self, data: list[Any]) -> Any:
        """A bytearray from the other side."""
        thing = bytearray(self.codec.take(data[2]))
        self.take(thing, KINDS[bytearray][1], data[1])
        return thing

    def _filled(self, thing: Any, data: list[Any]) -> Any:
        entry = self.take(thing, KINDS[type(thing)][1], data[1])
        entry.kind.read(self.codec, thing, data[2:])
        self._noted(entry)
        return thing

    def noted(self, number: int) -> None:
        """An object of that number is now as the other side knows it."""
        self._noted(self.entries[number])

    def _read(self, entry: Entry, data: Any) -> None:
        entry.kind.read(self.codec, entry.thing, data)
        entry.before = entry.kind.renewed(entry.thing, entry.before, data)
        self._weigh(entry)

    def _noted(self, entry: Entry) -> None:
        entry.before = entry.kind.parts(entry.thing)
        self._weigh(entry)

    def _weigh(self, entry: Entry) -> None:
        self.weight -= entry.weight
        entry.weight = len(entry.before) + 1
        self.weight += entry.weight
        if self.weight > MAX_WEIGHT:
            raise Broken("too much at once")

    def hashed(self, count: int) -> None:
        """Refuse a dict or a set with too many items."""
        if count > MAX_HASHED:
            raise Broken("too many keys")

    # -- what changed

    def changes(self) -> tuple[list[Any], list[int]]:
        """What the other side has to know of, and the numbers of objects that are dropped."""
        updates: list[Any] = []
        dropped: list[int] = []
        codec, count, child = self.codec, sys.getrefcount, self.next & 1
        for entry in [*self.watched.values()]:
            kind = entry.kind
            if kind.differs(entry.thing, entry.before):
                updates.append(entry.write(codec))
                self._weigh(entry)
            elif count(entry.thing) <= ALONE and not (kind.lasting and child):
                dropped.append(entry.number)
        for number in dropped:
            self.drop(number)
        return updates, dropped

    def drop(self, number: object) -> None:
        """Forget one object, where it is known."""
        entry = self.watched.pop(number, None) if type(number) is int else None
        if entry is not None:
            del self.entries[entry.number]
            del self.numbers[id(entry.thing)]
            self.weight -= entry.weight

    def apply(self, updates: list[Any], dropped: list[Any]) -> None:
        """Take over what the other side says."""
        for number, data in updates:
            entry = self.watched.get(number) if type(number) is int else None
            if entry is None:
                raise Broken("a change of an object that was not given")
            self._read(entry, data)
        for number in dropped:
            self.drop(number)
