"""How each kind of object that can change is looked at, written and read.

    list                the items between those that are the same at both ends
    dict, set           all its items, when one of them is another object
    bytearray           the bytes between those that are the same at both ends
    a record            the attributes that are other objects, of those that are named

The idea: to find a change costs a comparison of *identity*, item by item. It is quick, and it finds
a True in place of a 1. Who finds too much only sends too much.

The rule that keeps it simple: `parts` is what the other side knows, `differs` whether that is still
so, `write` and `read` what has to be said, and `renewed` the parts afterwards.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtlab.course.grading.values import Codec


class Broken(Exception):
    """A frame is not what the other side sends when it is as we made it."""


class Kind:
    """How one kind of object is looked at, written and read: here, a list."""

    lasting = False
    """Whether a child keeps it in the book although nobody else holds it."""

    def parts(self, thing: Any) -> Any:
        """What it consists of, as something that does not change."""
        return tuple(thing)

    def differs(self, thing: Any, before: Any) -> bool:
        """Whether its parts are other objects than `before`."""
        return len(thing) != len(before) or not all(map(operator.is_, thing, before))

    def write(self, codec: Codec, thing: Any, before: Any) -> Any:
        """What the other side has to know: all items, or how many stay at both ends, and others."""
        if before is None:
            return codec.encode_all(thing)
        start, end = ends(thing, before)
        return [start, end, *codec.encode_all(thing[start : len(thing) - end])]

    def renewed(self, thing: Any, before: Any, data: Any) -> Any:
        """Its parts now, after `data` was written or read."""
        return self.parts(thing)

    def read(self, codec: Codec, thing: Any, data: Any) -> None:
        """Make `thing` as the other side says."""
        start, end, *items = data
        _check(thing, start, end)
        thing[start : len(thing) - end] = codec.decode_all(items)


class _Set(Kind):
    def differs(self, thing: Any, before: Any) -> bool:
        return len(thing) != len(before) or not all(map(thing.__contains__, before))

    def write(self, codec: Codec, thing: Any, before: Any) -> Any:
        return codec.encode_all(thing)

    def read(self, codec: Codec, thing: Any, data: Any) -> None:
        codec.book.hashed(len(data))
        items = codec.decode_all(data)
        thing.clear()
        thing.update(items)


class _Dict(Kind):
    def parts(self, thing: Any) -> Any:
        return (*thing.keys(), *thing.values())

    def differs(self, thing: Any, before: Any) -> bool:
        now = (*thing.keys(), *thing.values())
        return len(now) != len(before) or not all(map(operator.is_, now, before))

    def write(self, codec: Codec, thing: Any, before: Any) -> Any:
        return codec.encode_all(part for pair in thing.items() for part in pair)

    def read(self, codec: Codec, thing: Any, data: Any) -> None:
        codec.book.hashed(len(data) // 2)
        items = codec.decode_all(data)
        thing.clear()
        thing.update(zip(items[::2], items[1::2], strict=True))


class _Bytes(Kind):
    def parts(self, thing: Any) -> Any:
        return bytearray(thing)

    def renewed(self, thing: Any, before: Any, data: Any) -> Any:
        start, end, _ = data  # a few bytes of perhaps very many: only those are copied
        before[start : len(before) - end] = thing[start : len(thing) - end]
        return before

    def differs(self, thing: Any, before: Any) -> bool:
        return bool(thing != before)

    def write(self, codec: Codec, thing: Any, before: Any) -> Any:
        start, end = span(thing, before)
        codec.blobs.append(bytes(thing[start : len(thing) - end]))
        return [start, end, len(codec.blobs[-1])]

    def read(self, codec: Codec, thing: Any, data: Any) -> None:
        start, end, length = data
        _check(thing, start, end)
        thing[start : len(thing) - end] = codec.take(length)


class Record(Kind):
    """An object whose attributes `names` are kept alike, and others are not."""

    lasting = True

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        one = len(self.names) == 1  # of one name, `attrgetter` gives no tuple
        self._all = None if one or not self.names else operator.attrgetter(*self.names)

    def parts(self, thing: Any) -> Any:
        """Its attributes; None in place of one that is not there."""
        try:
            if self._all is not None:
                return self._all(thing)
        except AttributeError:
            pass
        return tuple(getattr(thing, name, None) for name in self.names)

    def differs(self, thing: Any, before: Any) -> bool:
        """Whether an attribute is another object."""
        return not all(map(operator.is_, self.parts(thing), before))

    def write(self, codec: Codec, thing: Any, before: Any) -> Any:
        """Of the attributes that are others now, the place in `names` and the value."""
        pairs = enumerate(zip(self.parts(thing), before, strict=True))
        return [[i, codec.encode(now)] for i, (now, then) in pairs if now is not then]

    def read(self, codec: Codec, thing: Any, data: Any) -> None:
        """Set them."""
        for i, value in data:
            if type(i) is not int or not 0 <= i < len(self.names):
                raise Broken("no such field")
            setattr(thing, self.names[i], codec.decode(value))

    def renewed(self, thing: Any, before: Any, data: Any) -> Any:
        """As `before`, but for the attributes in `data`: others may have changed here meanwhile."""
        if not data:
            return before
        parts = [*before]
        for i, _ in data:
            parts[i] = getattr(thing, self.names[i], None)
        return tuple(parts)


FIXED = Record(())
"""An object of which nothing is kept alike: a machine, a function, a token."""

KINDS: dict[type, tuple[str, Kind]] = {
    list: ("l", Kind()), dict: ("d", _Dict()), set: ("e", _Set()), bytearray: ("y", _Bytes()),
}  # fmt: skip
"""Of each builtin type that can change: its letter on the pipe, and how it is kept alike."""


def span(now: bytes | bytearray, before: bytes | bytearray) -> tuple[int, int]:
    """How many bytes at the start, and how many at the end, are the same.

    >>> span(b"abXde", b"abcde"), span(b"abcd", b"ab"), span(b"b", b"ab")
    ((2, 2), (2, 0), (0, 1))
    """
    n, m = len(now), len(before)
    most = min(n, m)
    with memoryview(before) as view:  # to slice it is no copy, and neither is `startswith`
        start = _alike(lambda a, b: now.startswith(view[a:b], a), most)
        end = _alike(lambda a, b: now.startswith(view[m - b : m - a], n - b), most - start)
    return start, end


def ends(now: Sequence[object], before: Sequence[object]) -> tuple[int, int]:
    """How many items at the start, and how many at the end, are the same objects.

    >>> ends("abXde", "abcde"), ends("abcd", "ab"), ends("b", "ab")
    ((2, 2), (2, 0), (0, 1))
    """
    most = min(len(now), len(before))
    alike = [*map(operator.is_, now, before), False]
    start = alike.index(False)
    alike = [*map(operator.is_, reversed(now), reversed(before)), False]
    return start, min(alike.index(False), most - start)


def _check(thing: Sequence[object], start: Any, end: Any) -> None:
    """Refuse ends that `thing` does not have."""
    if not (type(start) is type(end) is int and 0 <= start <= len(thing) - end <= len(thing)):
        raise Broken("a part that is not there")


def _alike(same: Callable[[int, int], bool], most: int) -> int:
    """Up to where it is the same. Each step looks at half of what is left."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if same(low, middle) else (low, middle - 1)
    return low
