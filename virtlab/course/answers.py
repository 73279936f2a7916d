"""A student's answer: found by name, called within bounds, believed only as plain data.

The idea: a check never touches the student's objects itself. It asks an `Answer` to `call` a
function or to `build` a class, and gets back a value, or `Trouble` in words a learner can use. So
the same checks also ask an answer that lives in another process (`grading.remote`).

Three bounds hold an endless loop: a `BudgetCpu` (in `budget`) ends after so many accesses, a timer
ends a case after so much processor time, and what an answer prints is cut. The timer counts
processor time, so that a busy machine fails nobody. It needs Unix and the main thread; elsewhere
only the accesses are bounded, and the kernel's stop button ends the rest.

`Stopped` is a BaseException, so that an `except Exception` in an answer does not swallow it.

What it leaves out: safety against an answer that *means* harm. Here it runs in the student's own
process. Only this much is done: Python's builtins are put back before an answer is judged.
"""

from __future__ import annotations

import builtins
import io
import linecache
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import FrameType
from typing import Any

SECONDS = 0.7
"""Processor time that one case grants."""
PRINTED = 400
"""Characters that are kept of what an answer prints."""


class Stopped(BaseException):
    """The answer used up what it was given: it may be an endless loop."""


class Trouble(Exception):
    """The answer gave no value: it is missing, unfinished, or it raised. The message says which.

    `unwritten` is True for a stub, where no later case can do better.
    """

    def __init__(self, why: str, unwritten: bool = False) -> None:
        super().__init__(why)
        self.unwritten = unwritten


class Answer:
    """What a student's notebook defines, in `namespace`.

    A case says in `given` what it starts from, before it calls anything: a report of trouble
    needs it. `printed` holds the first characters that the answer printed in this case.
    """

    elsewhere = False
    """Whether it runs in another process."""
    patience = SECONDS
    """Processor time of this process that one case grants."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.namespace = namespace
        self.given = ""
        self.printed = ""
        self.costs: list[tuple[str, int, int]] = []

    def begin(self) -> None:
        """Forget what the case before left."""
        self.given = self.printed = ""
        self.costs = []

    def note_cost(self, what: str, yours: int, reference: int) -> None:
        """A case notes what the answer used, beside what the solution uses for the same."""
        self.costs.append((what, yours, reference))

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
        return Built(self, name, self.call(name))

    def method(self, built: Built, verb: str, *arguments: Any) -> Any:
        """What a method of something that was built returns."""
        name = f"{built.name}.{verb}"
        return self._run(name, _Method(built.instance, verb), arguments)

    def seconds(self) -> float:
        """Processor seconds that the answer has used so far: here, this thread's."""
        return time.thread_time()

    def way(self, value: object) -> None:
        """Take a value to where the answer is, and back: here, nothing to do."""

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
            put_builtins_back()
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
        return self.answer.method(self, method, *arguments)


class _Method:
    """Looks the method up within the bounds: a student's class may compute its attributes."""

    def __init__(self, instance: object, method: str) -> None:
        self.instance, self.method = instance, method

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


def may_interrupt(frame: FrameType | None) -> bool:
    """Whether an exception may come out of a frame at any moment.

    Not out of Python's own or a tracer's: a lock could stay taken. Nor out of a call on its way to
    another process or back: a frame could be cut.
    """
    name = str(frame.f_globals.get("__name__", "")) if frame is not None else "coverage"
    package = name.split(".")[0]
    held = package == "coverage" or package in sys.stdlib_module_names
    return not (held or name.startswith("virtlab.course.grading."))


# -- bounds


@contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `Stopped` inside the `with` after `seconds` of processor time, where that can be done.

    It rings again every tenth of a second, in case the answer swallowed the first one, or the
    moment was not good to interrupt.
    """
    if not can_ring():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        if may_interrupt(frame):  # pragma: no cover  # (a signal)
            raise Stopped(late(seconds))

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def can_ring() -> bool:
    """Whether there is a timer of processor time, and this thread can be interrupted by it."""
    main = threading.current_thread() is threading.main_thread()
    return main and hasattr(signal, "setitimer")


def late(seconds: float = SECONDS) -> str:
    """What is said of an answer that used up its processor time."""
    return f"it was stopped after {seconds} seconds"


# -- builtins: an answer may have put its own in their place

_BUILTINS: dict[str, Any] = vars(builtins)
_PRISTINE = {name: value for name, value in _BUILTINS.items() if name != "_"}


def put_builtins_back() -> None:
    """Python's own builtins, whatever an answer put in their place."""
    _BUILTINS.update(_PRISTINE)  # itself it needs no builtin


@contextmanager
def own_builtins() -> Iterator[None]:
    """Python's own builtins inside the `with`; afterwards, whatever stood there before."""
    before = _BUILTINS.copy()
    put_builtins_back()
    try:
        yield
    finally:
        _BUILTINS.update(before)
