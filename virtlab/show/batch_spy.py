"""Which NumPy passes a call makes: arrays that note every pass over themselves.

    with watching() as passes:        Pass("take", 256, ...)          the heads
        queue.pop_many()              Pass("bitwise_and", 256, ...)   which of them go on?
                                      ...

The idea: a `Spy` is an array like any other. But whoever adds, compares, gathers or searches it
leaves a note. What comes out of a pass over a Spy is one again, so nothing is missed.

The rule that keeps it simple: the library does not know. While somebody watches, the modules of
the split ring make Spies where they make arrays; behind that all is as before.

Left out: views and slices, which cost the same for any length; and compares of bytes, which are no
NumPy.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

MAKERS = frozenset({"arange", "array", "empty", "frombuffer", "ones", "zeros"})
"""Functions of NumPy that make an array of no other."""

FREE = frozenset({"shape", "ndim", "size"})
"""Functions that look at no element."""

LIBRARY = "virtlab.virtio."
WATCHED = tuple(LIBRARY + name for name in ("batch", "split"))
"""How the modules of the split ring's plural calls begin."""


class Pass(NamedTuple):
    """One NumPy call that looks at all of an array: its name, the elements, and who asked.

    `asked` are the functions of the library, the innermost first: `split_walk._batch`.
    """

    name: str
    elements: int
    asked: tuple[str, ...]


_notes: list[Pass] = []


class Spy(np.ndarray[Any, Any]):
    """An array that notes each pass over it."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        if out is not None:
            options["out"] = tuple(map(_plain, out))
        found = getattr(ufunc, method)(*map(_plain, inputs), **options)
        _note(ufunc.__name__, *inputs, *(out or ()))
        return out[0] if out is not None else _spying(found)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        del types
        if func.__name__ not in FREE:
            _note(func.__name__, *args)
        plain = {name: _plain(value) for name, value in kwargs.items()}
        return _spying(func(*map(_plain, args), **plain))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, np.ndarray) and key.ndim:
            _note("gather", key)
        return super().__getitem__(_plain(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        _note("store", key if isinstance(key, np.ndarray) else self, value)
        super().__setitem__(_plain(key), _plain(value))

    # The methods that are passes too.

    def take(self, indices: Any, axis: Any = None, out: Any = None, mode: Any = "raise") -> Any:
        """A gather."""
        _note("take", indices)
        found = self.view(np.ndarray).take(_plain(indices), axis, _plain(out), mode)
        return _spying(found) if out is None else out

    def argmax(self, *args: Any, **options: Any) -> Any:
        """The place of the largest."""
        _note("argmax", self)
        return self.view(np.ndarray).argmax(*args, **options)

    def argmin(self, *args: Any, **options: Any) -> Any:
        """The place of the smallest."""
        _note("argmin", self)
        return self.view(np.ndarray).argmin(*args, **options)

    def copy(self, order: Any = "C") -> Any:
        """A copy."""
        _note("copy", self)
        return super().copy(order)

    def astype(self, *args: Any, **options: Any) -> Any:
        """A copy of another type."""
        _note("astype", self)
        return super().astype(*args, **options)


class _Numpy:
    """NumPy, whose makers of arrays make Spies."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(np, name)
        return (lambda *a, **k: _spying(value(*a, **k))) if name in MAKERS else value


@contextmanager
def watching() -> Iterator[list[Pass]]:
    """The passes over arrays that are made inside, by whatever queue is new inside."""
    found = [vars(each) for name, each in sys.modules.items() if name.startswith(WATCHED)]
    makers, numpy = [names for names in found if names.get("np") is np], _Numpy()
    _notes.clear()
    for names in makers:
        names["np"] = numpy
    try:
        yield _notes
    finally:
        for names in makers:
            names["np"] = np


def _plain(value: Any) -> Any:
    if isinstance(value, Spy):
        return value.view(np.ndarray)
    if isinstance(value, (tuple, list)):
        return type(value)(map(_plain, value))
    return value


def _spying(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.view(Spy)
    return tuple(map(_spying, value)) if isinstance(value, tuple) else value


def _note(name: str, *over: Any) -> None:
    sizes = [_elements(each) for each in over]
    _notes.append(Pass(name, max(sizes, default=1), tuple(_askers(sys._getframe(2)))))


def _elements(value: Any) -> int:
    """Elements of an array, or of all arrays in a row of them; of anything else 1."""
    if isinstance(value, (tuple, list)):
        return sum(map(_elements, value))
    return _plain(value).size if isinstance(value, np.ndarray) else 1


def _askers(frame: FrameType | None) -> Iterator[str]:
    """The functions of the library on the stack, from `frame` outwards."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(LIBRARY):
            yield f"{module.removeprefix(LIBRARY)}.{frame.f_code.co_name}"
        frame = frame.f_back
