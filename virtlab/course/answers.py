"""A student's answer: found by name, called within bounds, believed only as plain data.

The idea: a check never touches the student's objects itself. It asks an `Answer` to `call` a
function or to `build` a class, and gets back a value, or `Trouble` in words a learner can use. So
the same checks can later talk to an answer that lives in another process.

Three bounds hold an endless loop: a `BudgetCpu` ends after so many accesses, a timer ends a case
after so much processor time, and what an answer prints is cut. The timer counts processor time, so
that a busy machine fails nobody. It needs Unix and the main thread; elsewhere only the accesses are
bounded, and the kernel's stop button ends the rest.

`Stopped` is a BaseException, so that an `except Exception` in an answer does not swallow it.

What it leaves out: safety against an answer that *means* harm. It runs in the student's own
process. Only this much is done: Python's builtins are put back before an answer is judged.
"""

from __future__ import annotations

import builtins
import io
import linecache
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import FrameType
from typing import Any

from virtlab.clock import COSTS, Clock
from virtlab.cpu import Cpu, Recorder

ACCESSES = 50_000
"""Accesses that one Cpu grants."""
SECONDS = 0.7
"""Processor time that one case grants."""
PRINTED = 400
"""Characters that are kept of what an answer prints."""
CYCLE = round(COSTS["isa_cycle"].ns)
"""Virtual time that passes with each access, in ns."""


class Stopped(BaseException):
    """The answer used up what it was given: it may be an endless loop."""


class Trouble(Exception):
    """The answer gave no value: it is missing, unfinished, or it raised. The message says which.

    `unwritten` is True for a stub, where no later case can do better.
    """

    def __init__(self, why: str, unwritten: bool = False) -> None:
        super().__init__(why)
        self.unwritten = unwritten


class BudgetCpu(Recorder):
    """The Cpu that an answer gets: every access takes time, is noted, and is one of `budget`.

    An access that is not made of whole numbers is a `TypeError` in the answer's own line.
    """

    def __init__(self, cpu: Cpu, clock: Clock, budget: int = ACCESSES) -> None:
        super().__init__(cpu)
        self.clock = clock
        self.budget = budget

    def _note(self, write: bool, space: str, address: int, size: int, value: int) -> int:
        for number in (address, size, value):
            if not isinstance(number, int):
                raise TypeError(f"an address, a size and a value are whole numbers, not {number!r}")
        if len(self.accesses) >= self.budget:
            raise Stopped(f"it was stopped after {self.budget:,} accesses; the last: {self.last()}")
        self.clock.advance(CYCLE)
        return super()._note(write, space, address, size, value)

    def last(self) -> str:
        """The last access, as a report shows it."""
        return str(self.accesses[-1]) if self.accesses else "none"


class Answer:
    """What a student's notebook defines, in `namespace`.

    A case says in `given` what it starts from, before it calls anything: a report of trouble
    needs it. `printed` holds the first characters that the answer printed in this case.
    """

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.namespace = namespace
        self.given = ""
        self.printed = ""

    def begin(self) -> None:
        """Forget what the case before left."""
        self.given = self.printed = ""

    def find(self, name: str) -> Any:
        """The object of that name, or `Trouble`."""
        if name not in self.namespace:
            raise Trouble(f"there is no {name} here yet: run the cell that defines it", True)
        found = self.namespace[name]
        if not callable(found):
            raise Trouble(f"{name} is {type(found).__name__}, not something that can be called")
        return found

    def call(self, name: str, *arguments: Any) -> Any:
        """What the function `name` returns."""
        return self._run(name, self.find(name), arguments)

    def build(self, name: str) -> Built:
        """An instance of the class `name`, made with no arguments."""
        return Built(self, name, self._run(name, self.find(name), ()))

    def _run(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        note = _Note()
        try:
            with redirect_stdout(note), redirect_stderr(note):
                return function(*arguments)
        except (Stopped, KeyboardInterrupt):
            raise
        except NotImplementedError as error:
            raise Trouble(f"you have not written {name}() yet", True) from error
        except BaseException as error:
            raise Trouble(self._explain(error)) from error
        finally:
            _put_builtins_back()
            self.printed = (self.printed + note.text)[:PRINTED]

    def _explain(self, error: BaseException) -> str:
        """The exception, and the last line of the student's own that led to it."""
        said = traceback.format_exception_only(type(error), error)[-1].strip()[:PRINTED]
        frames = traceback.walk_tb(error.__traceback__)
        own = [(frame, line) for frame, line in frames if not _is_ours(frame)]
        if not own:
            return said
        frame, line = own[-1]
        text = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
        return f"{said}\nin line {line} of your cell" + (f": {text}" if text else "")


class Built:
    """An instance of a student's class; `call` runs one of its methods."""

    def __init__(self, answer: Answer, name: str, instance: object) -> None:
        self.answer = answer
        self.name = name
        self.instance = instance

    def call(self, method: str, *arguments: Any) -> Any:
        """What the method returns, or `Trouble`."""
        name = f"{self.name}.{method}"
        return self.answer._run(name, _Method(self.instance, name, method), arguments)


class _Method:
    """Looks the method up within the bounds: a student's class may compute its attributes."""

    def __init__(self, instance: object, name: str, method: str) -> None:
        self.instance, self.name, self.method = instance, name, method

    def __call__(self, *arguments: Any) -> Any:
        return getattr(self.instance, self.method)(*arguments)


class _Note(io.TextIOBase):
    """Takes what is printed and keeps the beginning."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text = (self.text + text[:PRINTED])[:PRINTED]
        return len(text)


def _is_ours(frame: FrameType) -> bool:
    """Whether a frame runs virtlab's code, or Python's, and not the student's."""
    name = frame.f_globals.get("__name__", "")
    return str(name).split(".")[0] in ("virtlab", *sys.stdlib_module_names)


def _may_hold_a_lock(frame: FrameType) -> bool:
    """Whether a frame is Python's own or a tracer's: to raise there could leave a lock taken."""
    package = str(frame.f_globals.get("__name__", "")).split(".")[0]
    return package == "coverage" or package in sys.stdlib_module_names


# -- bounds


@contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `Stopped` inside the `with` after `seconds` of processor time, where that can be done.

    It rings again every tenth of a second, in case the answer swallowed the first one, or the
    moment was not good to interrupt.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        if frame is not None and not _may_hold_a_lock(frame):  # pragma: no cover  # (a signal)
            raise Stopped(f"it was stopped after {seconds} seconds")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# -- builtins: an answer may have put its own in their place

_BUILTINS: dict[str, Any] = vars(builtins)
_PRISTINE = {name: value for name, value in _BUILTINS.items() if name != "_"}


def _put_builtins_back() -> None:
    _BUILTINS.update(_PRISTINE)  # itself it needs no builtin


@contextmanager
def own_builtins() -> Iterator[None]:
    """Python's own builtins inside the `with`; afterwards, whatever stood there before."""
    before = _BUILTINS.copy()
    _put_builtins_back()
    try:
        yield
    finally:
        _BUILTINS.update(before)
