"""Exceptions on the pipe: a machine's come to the answer as what they are, and may come back.

    judge's side    raise DmaFault("no memory there", 0x9000, 16)     described()
    child           except DmaFault as fault: ...                     raised()
    judge's side    Trouble, caused by number 8: the very same one    cause()

The idea: an exception goes over as its type's name, its arguments and its attributes. Types are
Python's own and the library's errors; any other one is made, of that name, below the nearest of
Python's own. So what an answer catches in a notebook, it catches here.

The rule that keeps it safe: the judge's side makes nothing that a child names. It takes a number of
an exception that it sent, or a `GuestError` with two texts.
"""

from __future__ import annotations

import builtins
import functools
import sys
from typing import Any

from virtlab.course.answers import Stopped, Trouble
from virtlab.course.grading.channel import Channel
from virtlab.course.grading.kinds import FIXED
from virtlab.course.grading.mirror import Book
from virtlab.errors import DmaFault, FileError, GuestError

KNOWN: dict[str, type[BaseException]] = {
    f"{kind.__module__}.{kind.__qualname__}": kind
    for kind in (DmaFault, FileError, GuestError, Stopped, Trouble)
}
"""Types that both sides have, beside Python's own."""

PLAIN = (int, str, bytes, bool, float, type(None))
MAX_TEXT = 400
"""Characters of a text that comes from a child, beyond which it is cut."""


def described(error: BaseException, channel: Channel) -> list[Any]:
    """An exception for the child: module, name, the nearest of Python's own, parts, number."""
    kind = type(error)
    book = channel.book
    number = book.numbers.get(id(error)) or book.add(error, FIXED).number
    own = next(each for each in kind.__mro__ if each.__module__ == "builtins")
    plain = all(type(each) in PLAIN for each in error.args)
    arguments = error.args if plain else (str(error),)
    attributes = {
        name: value for name, value in vars(error).items() if type(value) in (int, str, bool)
    }
    names = [kind.__module__, kind.__qualname__, own.__name__]
    encode = channel.codec.encode_all
    return [*names, encode(arguments), [*attributes], encode(attributes.values()), number]


def raised(data: list[Any], channel: Channel) -> BaseException:
    """In the child: the exception to raise."""
    module, name, own, arguments, names, attributes, number = data
    kind = _kind(module, name, own)
    values = channel.values(arguments)
    try:
        error: BaseException = kind.__new__(kind, *values)
        error.args = tuple(values)
        vars(error).update(zip(names, channel.values(attributes), strict=True))
    except TypeError:
        error = Exception(*values)
    if number not in channel.book.entries:
        channel.book.take(error, FIXED, number)
    return error


@functools.cache
def _kind(module: str, name: str, own: str) -> type[BaseException]:
    """The type of an exception of the other side."""
    found = KNOWN.get(f"{module}.{name}") or getattr(builtins, name, None)
    found = found or getattr(sys.modules.get(module), name, None)
    if isinstance(found, type) and issubclass(found, BaseException):
        return found
    names = {"__module__": module, "__qualname__": name}
    return type(name.split(".")[-1], (getattr(builtins, own),), names)


def cause_of(error: BaseException | None, book: Book) -> Any:
    """In the child: what ended a call, as the other side may want to know it."""
    number = book.numbers.get(id(error))
    if number is not None:
        return number
    if type(error) is GuestError:
        return [str(error.why)[:MAX_TEXT], str(error.spec)[:MAX_TEXT]]
    return None


def cause(data: Any, book: Book) -> BaseException | None:
    """In the judge's process: the exception that a child names."""
    if type(data) is int:
        entry = book.entries.get(data)
        return entry.thing if entry is not None and isinstance(entry.thing, BaseException) else None
    if type(data) is list and len(data) == 2 and all(type(text) is str for text in data):
        return GuestError(*(text[:MAX_TEXT] for text in data))
    return None
