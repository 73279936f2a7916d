"""Values on a pipe: JSON for their shape, raw bytes behind it, and nothing that could run.

    7  "a"  None  2.5                       as they are: JSON keeps each type
    (1, b"ab")                              ["t", 1, ["b", 2]]    and the blob  b"ab"
    [1, 2]  {..}  bytearray(..)  a record   ["l", 3, 1, 2]: number 3 from now on, ["m", 3] later
    Access(0, True, ...)                    ["v", "Access", ...]
    IntEnum, np.int64, defaultdict          ["k", its type's name, the plain value inside]
    anything else                           whatever the two ends of the channel agree on

The idea: who decodes makes every object himself, from a fixed list of kinds. So a frame is only
ever data: it names no class, no module and no function that is looked up.

The rule that keeps it simple: what can change is a `mirror`'s business. It gets a number, and is
the same object to both sides as long as either can tell.

What it leaves out: values that are too large (`MAX_*`); who sends those is told so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from virtlab.course.grading.kinds import FIXED, Broken
from virtlab.course.grading.mirror import Book
from virtlab.course.grading.value_classes import VALUE_CLASSES, value_class

SMALL = 1 << 63
"""Whole numbers from -SMALL to SMALL go as JSON numbers, others as hexadecimal text."""

MAX_DIGITS = 1 << 20
"""Hexadecimal digits that a number may have."""

MAX_NAME = 80
"""Characters that are kept of the name of a foreign type."""

MAX_KINDS = 500
"""Foreign types that are told apart by name."""

DTYPES = frozenset("|b1 |i1 |u1 <i2 <i4 <i8 <u2 <u4 <u8 <f2 <f4 <f8".split())  # noqa: SIM905
"""Elements that an array on the pipe may have."""

BASES: dict[str, type] = {
    kind.__name__: kind
    for kind in (int, float, str, bytes, bytearray, tuple, list, dict, set, frozenset)
}
"""Builtin types of which a value may be a subclass."""

CONTAINERS = (tuple, list, dict, set, frozenset)
"""Of those, the ones that hold other values."""

Data = Any
"""What JSON can hold."""


class Codec:
    """One end's way to write values into a frame, and to read them out of one.

    `blobs` are the raw bytes of the frame that is being written; `raw` of that being read, from
    `at` on. `other` and `given` are for objects that stay where they are: they are set by the
    channel.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        book.codec = self
        self.blobs: list[bytes | memoryview] = []
        self.raw: memoryview | bytes = b""
        self.at = 0
        self.other: Callable[[object], Data] = _no_other
        self.decoders: dict[str, Callable[[list[Data]], object]] = {
            "i": self._big, "b": self._take, "t": self._tuple, "f": self._frozenset,
            "v": self._value, "k": self._subclass, "w": self._view, "r": self._range,
            "a": self._array, "s": self._scalar, "m": book.known,
            "l": book.new_list, "d": book.new_dict, "e": book.new_set, "y": book.new_bytes,
        }  # fmt: skip
        self.encoders: dict[type, Callable[[Any], Data]] = {
            type(None): _itself, bool: _itself, str: _itself, float: _itself,
            int: _number, bytes: self._blob, tuple: self._of_tuple, frozenset: self._of_frozenset,
            list: book.of, dict: book.of, set: book.of, bytearray: book.of,
            memoryview: lambda value: ["w", *self._blob(value.tobytes())[1:]],
            range: lambda value: ["r", *map(_number, (value.start, value.stop, value.step))],
        }  # fmt: skip
        self._kinds: dict[tuple[type, str], type] = {}

    # -- writing

    def encode(self, value: object) -> Data:
        """`value` as JSON data; its bytes go to `blobs`."""
        encoder = self.encoders.get(type(value))
        return encoder(value) if encoder else self._of_other(value)

    def encode_all(self, values: Any) -> list[Data]:
        """Several, in order."""
        get, encode = self.encoders.get, self.encode
        return [(get(type(value)) or encode)(value) for value in values]

    def _blob(self, value: bytes | memoryview) -> Data:
        self.blobs.append(value)
        return ["b", len(value)]

    def _of_tuple(self, value: tuple[object, ...]) -> Data:
        return ["t", *self.encode_all(value)]

    def _of_frozenset(self, value: frozenset[object]) -> Data:
        return ["f", *self.encode_all(value)]

    def _of_other(self, value: object) -> Data:
        """A named tuple, an array, a subclass of a builtin, or what stays where it is."""
        kind = type(value)
        name = kind.__name__
        if name in VALUE_CLASSES and VALUE_CLASSES[name][0] == kind.__module__:
            return ["v", name, *self.encode_all(value)]
        numpy = sys.modules.get("numpy")
        if numpy is not None and kind.__module__ == "numpy":
            array: Any = value
            if kind is numpy.ndarray and array.dtype.str in DTYPES:
                flat = array.size and array.flags.c_contiguous
                raw = array.data.cast("B") if flat else array.tobytes()
                return ["a", array.dtype.str, list(array.shape), *self._blob(raw)[1:]]
            if isinstance(value, numpy.generic) and value.dtype.str in DTYPES:
                return ["s", value.dtype.str, *self._blob(value.tobytes())[1:]]
        number = self.book.numbers.get(id(value))
        if number is not None:
            return self.book.again(number)
        for base in BASES.values():
            if isinstance(value, base):
                return self._of_subclass(base, value)
        return self.other(value)

    def _of_subclass(self, base: type, value: object) -> Data:
        """The plain value inside, and a number where it is an object that may come back."""
        number = self.book.add(value, FIXED).number if base in CONTAINERS else 0
        return ["k", type(value).__name__, base.__name__, number, self._inside(base, value)]

    def _inside(self, base: type, value: Any) -> Data:
        """The plain value in an object of a subclass, without asking the subclass."""
        if base is dict:
            return [self.encode_all(pair) for pair in dict.items(value)]
        if base in CONTAINERS:
            return self.encode_all(base.__iter__(value))
        plain: object = {
            int: int.__int__, float: float.__float__, str: str.__str__,
            bytes: bytes, bytearray: bytes,
        }[base](value)  # fmt: skip
        return self.encode(plain)

    # -- reading

    def decode(self, data: Data) -> Any:
        """The value that `encode` wrote so. `Broken` for what it never writes."""
        if type(data) is list:
            decoder = self.decoders.get(data[0]) if data and type(data[0]) is str else None
            if decoder is None:
                raise Broken("an unknown kind of value")
            return decoder(data)
        if type(data) is dict:
            raise Broken("an object where a value should be")
        return data

    def decode_all(self, data: list[Data]) -> list[Any]:
        """Several, in order."""
        decode = self.decode
        return [decode(each) if type(each) in (list, dict) else each for each in data]

    def _take(self, data: list[Data]) -> bytes:
        return bytes(self._piece(data[1]))

    def take(self, length: Data) -> bytes:
        """The next `length` bytes behind the JSON."""
        return bytes(self._piece(length))

    def _piece(self, length: Data) -> memoryview | bytes:
        start, self.at = self.at, self.at + natural(length)
        if self.at > len(self.raw):
            raise Broken("fewer bytes than it says")
        return self.raw[start : self.at]

    def _big(self, data: list[Data]) -> int:
        text = data[1]
        if type(text) is not str or len(text) > MAX_DIGITS:
            raise Broken("a number that is none")
        return int(text, 16)

    def _tuple(self, data: list[Data]) -> tuple[object, ...]:
        return tuple(self.decode_all(data[1:]))

    def _frozenset(self, data: list[Data]) -> frozenset[object]:
        self.book.hashed(len(data))
        return frozenset(self.decode_all(data[1:]))

    def _value(self, data: list[Data]) -> object:
        kind = value_class(data[1]) if type(data[1]) is str else None
        if kind is None:
            raise Broken("an unknown named tuple")
        return kind._make(self.decode_all(data[2:]))

    def _view(self, data: list[Data]) -> memoryview:
        return memoryview(self._take(data))

    def _range(self, data: list[Data]) -> range:
        return range(*(natural(self.decode(each), negative=True) for each in data[1:4]))

    def _subclass(self, data: list[Data]) -> object:
        """An object of a type of that name, which is nothing but the builtin below it."""
        base, inside = BASES[data[2]], data[4]
        kind = self.kind(data[1], base)
        if base not in CONTAINERS:
            return kind(self.decode(inside))
        self.book.hashed(0 if base in (list, tuple) else len(inside))
        made = kind([self.decode(["t", *each] if base is dict else each) for each in inside])
        self.book.take(made, FIXED, data[3])
        return made

    def kind(self, name: Data, base: type) -> type:
        """A type of that name, made for nothing but to be told apart."""
        if type(name) is not str:
            raise Broken("a type without a name")
        name = name.replace("\0", "")[:MAX_NAME].encode("utf-8", "replace").decode()
        if (base, name) not in self._kinds and len(self._kinds) >= MAX_KINDS:
            name = "object"
        if (base, name) not in self._kinds:
            self._kinds[base, name] = type(name, (base,), {"__module__": "answer"})
        return self._kinds[base, name]

    def _array(self, data: list[Data]) -> object:
        numpy, dtype = _numpy(data[1])
        shape = [natural(each) for each in data[2]]
        return numpy.frombuffer(bytearray(self._piece(data[3])), dtype).reshape(shape)

    def _scalar(self, data: list[Data]) -> object:
        numpy, dtype = _numpy(data[1])
        return numpy.frombuffer(self.take(data[2]), dtype)[0]


def _numpy(dtype: Data) -> tuple[Any, str]:
    if type(dtype) is not str or dtype not in DTYPES:
        raise Broken("an array of no kind that is known")
    import numpy

    return numpy, dtype


def natural(number: Data, negative: bool = False) -> int:
    """`number`, if it is a whole number and not below 0; else `Broken`."""
    if type(number) is not int or (number < 0 and not negative):
        raise Broken("no length and no number")
    return number


def _itself(value: Data) -> Data:
    return value


def _number(value: int) -> Data:
    return value if -SMALL < value < SMALL else ["i", hex(value)]


def _no_other(value: object) -> Data:
    raise TypeError(f"{type(value).__name__} does not go over a pipe")
