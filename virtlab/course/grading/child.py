"""What runs in the sandbox: the notebook's cells, then whatever the judge calls.

    judge                                   child
    cell 3, "def walk(..."          -->     runs it
                                    <--     ran ""
    call walk(memory, 0x40, ..)     -->     Answer(...).call("walk", stand-in, 0x40, ..)
                                    <--     verb read(0x40, 16) of object 2
    result b"..."                   -->
                                    <--     returned [(..), ..]

The idea: an answer runs here under the same `Answer` as in a notebook, so a report has the same
words. Of what a case gives, only data is here; a machine is a stand-in, whose verbs are calls back.

The rule that keeps it safe: nothing here is trusted. A student's code can change all of this
process, and gains nothing: what is right, and whether it was met, is decided by the other side.

`FILES` is all of the course that this process may see (`modules`).
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from virtlab.course.answers import (
    SECONDS,
    Answer,
    Built,
    Stopped,
    Trouble,
    can_ring,
    late,
    may_interrupt,
    put_builtins_back,
)
from virtlab.course.grading import modules
from virtlab.course.grading.cells import run_cell
from virtlab.course.grading.channel import Channel, Coded, Ended, TooLarge
from virtlab.course.grading.faults import cause_of, raised
from virtlab.course.grading.kinds import FIXED, Broken
from virtlab.course.grading.mirror import Book
from virtlab.course.grading.stand_ins import Makers

FILES = modules.FILES
"""Files of `virtlab/course` that a child may see."""

CROSSING = 60e-6
"""Processor time of a call of the other side: an answer is not charged with it."""
MOST = 1.0
"""So much of it in a case, at the most: some calls have no budget of their own."""

TOO_LARGE = "it gave something that is too large, or nested too deep, to be looked at"


class Child:
    """This end: a notebook's names, and the calls that come in at `into`."""

    def __init__(self, out: int, into: int) -> None:
        self.channel = Channel(out, into, Book(first=1))
        codec = self.channel.codec
        codec.other = self.export
        self.makers = Makers(self.cross, self.channel)
        codec.decoders["h"] = self.makers.stand_in
        self.names: dict[str, Any] = {
            "__name__": "__main__",
            "display": lambda *things, **options: None,
        }
        self.answer = Answer(self.names)
        self.calls = 0
        self.crossed, self.began = 0, 0.0
        self.late = False
        self.obeyed: dict[str, Callable[..., None]] = {
            "cell": self.cell, "call": self.call, "method": self.method, "each": self.each,
            "invoke": self.invoke, "way": self.way,
        }  # fmt: skip

    def serve(self) -> NoReturn:
        """Do what the judge says, one thing after the other, until he hangs up."""
        try:
            while True:
                self.obey(self.channel.receive())
        except (Broken, Ended):
            self.leave()

    def obey(self, message: list[Any]) -> None:
        """One request."""
        kind, *data = message
        self.obeyed[kind](*data)

    def reply(self, kind: str, *values: Any) -> None:
        """The answer to a request; if it does not go into a frame, that is said."""
        try:
            self.channel.send(kind, *values)
        except (TooLarge, RecursionError, MemoryError):
            self.channel.book.forget()
            self.channel.send("stopped", TOO_LARGE, "")

    # -- cells

    def cell(self, number: int, source: str) -> None:
        """Run a cell of the notebook."""
        error = run_cell(number, source, self.names)
        put_builtins_back()
        self.reply("ran", error)

    # -- calls

    def call(self, begin: bool, name: str, arguments: list[Any]) -> None:
        """Call the function or class `name`."""
        self.begin(begin)
        self.run(lambda: self.answer.call(name, *self.channel.values(arguments)))

    def method(self, begin: bool, instance: Any, name: str, verb: str, data: list[Any]) -> None:
        """Call a method of an object that an answer gave."""
        self.begin(begin)
        thing, *arguments = self.channel.values([instance, *data])
        self.run(lambda: Built(self.answer, name, thing).call(verb, *arguments))

    def each(self, thing: Any) -> None:
        """The items of something that can be gone through."""
        items = self.channel.values([thing])[0]
        self.run(lambda: self.answer._run("__iter__", list, (items,)))

    def invoke(self, thing: Any, arguments: list[Any]) -> None:
        """Call a function that an answer gave."""
        function, *values = self.channel.values([thing, *arguments])
        self.run(lambda: self.answer._run("__call__", function, tuple(values)))

    def way(self, begin: bool, value: Any) -> None:
        """Nothing but the way of a value here and back: what it costs is measured."""
        self.begin(begin)
        self.run(lambda: self.channel.values([value])[0])

    def begin(self, new: bool) -> None:
        """With a new case, forget the last one, and start the timer."""
        if not self.calls:
            self.channel.book.rest()
        if new:
            self.channel.book.forget()
            self.answer.begin()
            self.late = False
            self.crossed, self.began = 0, time.process_time()
            if can_ring():
                signal.signal(signal.SIGPROF, self.ring)
                signal.setitimer(signal.ITIMER_PROF, SECONDS, 0.1)

    def run(self, call: Any) -> None:
        """Make a call, and say what came of it."""
        self.calls += 1
        try:
            value = call()
        except Trouble as trouble:
            cause = cause_of(trouble.__cause__, self.channel.book)
            self.finish("trouble", str(trouble), trouble.unwritten, cause)
        except Stopped as stopped:
            self.finish("stopped", str(stopped))
        else:
            self.finish("returned", Coded(value))

    def finish(self, kind: str, *values: Any) -> None:
        """The reply to a call, with what was printed."""
        self.calls -= 1
        self.reply(kind, *values, self.answer.printed)

    def ring(self, number: int, frame: FrameType | None) -> None:
        """The processor time of this case is used up, if not by calls of the other side."""
        granted = SECONDS + min(CROSSING * self.crossed, MOST)
        if not self.calls or time.process_time() - self.began < granted:
            return
        if may_interrupt(frame):
            raise Stopped(late())
        self.late = True

    # -- calls back

    def cross(self, kind: str, *values: Any, alone: bool = False) -> Any:
        """Ask the judge's side, and serve what it asks meanwhile."""
        self.crossed += 1
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + 200)  # a frame is never cut by an answer's recursion
        try:
            self.channel.send(kind, *values, alone=alone)
            value = self.awaited()
        except (TooLarge, MemoryError) as error:
            raise Stopped(TOO_LARGE) from error
        except (Broken, Ended):
            self.leave()
        finally:
            sys.setrecursionlimit(limit)
        if self.late:
            self.late = False
            raise Stopped(late())
        return value

    def awaited(self) -> Any:
        """What the judge's side gives, or raises, when it has done what was asked."""
        while True:
            message = self.channel.receive()
            if message[0] == "result":
                return self.channel.values(message[1:])[0]
            if message[0] == "raise":
                raise raised(message[1], self.channel)
            self.obey(message)

    def leave(self) -> NoReturn:
        """The judge is gone. No answer can catch this."""
        os._exit(1)

    def export(self, thing: object) -> Any:
        """An object that stays here: its number, and what the other side may say of it."""
        kind = type(thing)
        able = hasattr(kind, "__iter__"), callable(thing)
        return ["x", self.channel.book.add(thing, FIXED).number, kind.__name__, *able]


def main() -> None:
    """Serve on descriptors 0 and 1, which the answer's own prints do not reach."""
    into, out = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    sys.meta_path.insert(0, modules.Course)
    sys.modules["virtlab.course.checks"] = modules.checks()
    gc.freeze()  # what was imported stays: to look at it again and again costs a tenth of the time
    gc.set_threshold(20_000, 20, 20)
    Child(out, into).serve()
