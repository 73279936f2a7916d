"""The judge's end of the line to a child: asks, and serves what the child asks meanwhile.

    ask("call", ..)       -->   the answer runs
    serve  verb 2 "read"  <--   a machine that was given; only a verb that its offer names
    ask's reply           <--   returned, trouble or stopped

The idea: this end believes nothing. A number names an object that this case gave, or nothing. A
verb stands in the offer, or the child is at its end. What comes is data of known kinds, or it is
`Broken`. And a machine meets an argument as it does in a notebook: with its own checks.

The rule that keeps it simple: a child that breaks the rules is killed at once, and that is all that
happens. To the case it is `Stopped`, with a word.

Nothing is waited for without a bound. A silent child is killed after `quiet` seconds by the clock,
unless it computes and the machine is busy. A child that keeps this side at work is stopped too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from virtlab.course.answers import Stopped, Trouble
from virtlab.course.grading.channel import Channel, Coded, Ended, TooLarge
from virtlab.course.grading.faults import cause, described
from virtlab.course.grading.foreign import KINDS, Foreign
from virtlab.course.grading.kinds import FIXED, Broken, Record
from virtlab.course.grading.limits import Limits
from virtlab.course.grading.mirror import Book
from virtlab.course.grading.offers import Offer, description, offer_of, record_of
from virtlab.course.grading.process import Child
from virtlab.course.grading.quiet import Watch

DEEPEST = 30
"""Calls inside calls."""
BUSY = 4.0
"""Processor seconds of this side that one case may take."""
LOOK = 0.02
"""Seconds by the clock after which they are looked at again: more can not be used meanwhile."""
MAX_TEXT = 2_000
"""Characters of a text that comes from a child."""
WIDE = 1 << 20
"""Bytes that a pipe holds."""

BROKEN = "it broke off the talk with the checker"
AT_WORK = "it was stopped: it kept the machine at work for {:g} s"
OVER = "this belongs to a call or a case that is over"
NESTED = "it was stopped: calls inside calls, {} deep"
LARGE = "it was stopped: a value is too large"


Reply = tuple[Any, ...]
"""What is sent to a child: a kind, and values."""


class Judge:
    """One child, and the objects that it has been given. `dead` says why it ended, or is empty."""

    def __init__(self, child: Child, limits: Limits) -> None:
        self.child, self.limits = child, limits
        self.dead = ""
        self.channel = Channel(child.stdin.fileno(), child.stdout.fileno(), Book(first=2))
        for pipe in (self.channel.out, self.channel.into):
            widen(pipe)
        codec = self.channel.codec
        codec.other = self.offer
        codec.decoders["x"] = self.foreign
        self.serving: dict[str, Callable[..., Reply]] = {"verb": self.verb, "get": self.get}
        self.kinds: dict[type, tuple[int, Offer, Record]] = {}
        self.final: Stopped | None = None
        self.depth = 0
        self.alone = False
        self.busy = self.looked = 0.0
        self.watch = Watch(child, limits.quiet)

    def close(self) -> None:
        """End the child."""
        self.watch.over.set()
        self.child.close()

    def begin(self) -> None:
        """A new case: nothing of the last one is known any more."""
        self.channel.book.forget()
        self.final = None
        self.busy, self.looked = time.thread_time(), time.monotonic()

    def ask(self, kind: str, *values: Any) -> list[Any]:
        """Send a request; serve until its reply comes. `Stopped` if none will come."""
        if self.dead:
            raise Stopped(self.dead)
        if self.depth >= DEEPEST:
            raise Stopped(NESTED.format(DEEPEST))
        if not self.depth:
            self.watch.begin()
            self.channel.book.rest()
        self.depth += 1
        try:
            return self._talk(kind, values)
        except (Broken, Ended) as error:
            self.die(BROKEN if isinstance(error, Broken) else "")
            raise Stopped(self.dead) from error
        except TooLarge:
            self.die(LARGE)
            raise Stopped(self.dead) from None
        finally:
            self.depth -= 1

    def _talk(self, kind: str, values: tuple[Any, ...]) -> list[Any]:
        message = self._exchange(kind, values, False)
        while (serve := self.serving.get(message[0])) is not None:
            self.alone = False
            try:
                reply = serve(*message[1:])
            except TypeError as error:
                raise Broken(str(error)) from error
            message = self._exchange(reply[0], reply[1:], self.alone)
        return message

    def _exchange(self, kind: str, values: tuple[Any, ...], alone: bool) -> list[Any]:
        """Send a frame, and wait for the next one; the end, if this side is kept at work."""
        channel, watch = self.channel, self.watch
        began = watch.since = time.monotonic()
        try:
            channel.send(kind, *values, alone=alone)
            message = channel.receive()
        finally:
            watch.since = None
            now = time.monotonic()
            watch.left -= now - began
        if now - self.looked > LOOK:  # to ask the kernel each time costs more than the rest
            self.looked = now
            if message[0] in self.serving and time.thread_time() - self.busy > BUSY:
                self.die(AT_WORK.format(BUSY))
                raise Ended
        return message

    def die(self, why: str) -> None:
        """End the child; the first reason stays."""
        if why:
            self.child.kill(why)
        self.dead = self.dead or self.child.ended(5.0) or why or BROKEN
        self.watch.over.set()

    # -- what a child asks for

    def given(self, number: Any) -> Any:
        """The object of a number, if this case has given it."""
        entry = self.channel.book.entries.get(number) if type(number) is int else None
        if entry is not None:
            return entry.thing
        if type(number) is int and 0 < number < self.channel.book.next and number % 2 == 0:
            raise _Over(OVER)
        raise Broken("an object that was not given")

    def verb(
        self, number: Any, name: Any, arguments: Any, names: Any = (), options: Any = ()
    ) -> Reply:
        """Call a verb of an object: the reply to send."""
        try:
            thing = self.given(number)
        except _Over as error:
            return "raise", Fault((error, self.channel))
        _, offer, _ = self.kinds.get(type(thing)) or self.kind(type(thing))
        if type(name) is not str or name not in offer.verbs:
            raise Broken("a verb that is not offered")
        self.alone = offer.alone
        values = self.channel.values(arguments)
        if not names:
            return self.reply(lambda: getattr(thing, name)(*values))
        if not all(type(each) is str for each in names):
            raise Broken("an argument without a name")
        named = dict(zip(names, self.channel.values(options), strict=False))
        return self.reply(lambda: getattr(thing, name)(*values, **named))

    def get(self, number: Any, name: Any) -> Reply:
        """Read an attribute of an object: the reply to send."""
        try:
            thing = self.given(number)
        except _Over as error:
            return "raise", Fault((error, self.channel))
        if type(name) is not str or name not in self.kind(type(thing))[1].live:
            raise Broken("an attribute that is not offered")
        return self.reply(lambda: getattr(thing, name))

    def reply(self, call: Any) -> Reply:
        """What a call of a machine gives, or raises."""
        try:
            return "result", Coded(call())
        except (KeyboardInterrupt, SystemExit, GeneratorExit, Ended):
            raise
        except BaseException as error:
            if isinstance(error, Stopped):
                self.final = self.final or error
            return "raise", Fault((error, self.channel))

    # -- objects

    def offer(self, thing: object) -> Any:
        """An object that stays here, as the child gets it: number, class, and its attributes."""
        about: Any = 0 if type(thing) in self.kinds else description(type(thing))
        key, offer, record = self.kind(type(thing))
        entry = self.channel.book.add(thing, record)
        encode = self.channel.codec.encode_all
        fixed = encode(getattr(thing, name) for name in offer.fixed)
        return ["h", entry.number, key, about, fixed, encode(record.parts(thing))]

    def kind(self, kind: type) -> tuple[int, Offer, Record]:
        """The number of a class, what is offered of it, and which fields are kept alike."""
        found = self.kinds.get(kind)
        if found is None:
            found = self.kinds[kind] = len(self.kinds), offer_of(kind), record_of(kind)
        return found

    def foreign(self, data: list[Any]) -> object:
        """An object of the child's."""
        _, number, name, many, function = data
        base = KINDS[bool(many), bool(function)]
        thing: Foreign = self.channel.codec.kind(name, base)()
        thing.judge = self
        self.channel.book.take(thing, FIXED, number)
        return thing

    def value(self, reply: list[Any]) -> Any:
        """What the reply to a call gives; raises what it says."""
        kind, *data = reply
        final, self.final = self.final, None
        if final is not None:
            raise final
        try:
            if kind == "returned":
                return self.channel.values(data[:1])[0]
            text = data[0][:MAX_TEXT] + ""
            if kind == "trouble":
                why = cause(data[2], self.channel.book)
                raise Trouble(text, data[1] is True) from why
            if kind == "stopped":
                raise Stopped(text)
        except (Broken, TypeError, IndexError):
            pass
        self.die(BROKEN)
        raise Stopped(self.dead)


def widen(pipe: int) -> None:
    """Let a pipe hold a large value at once, where that can be done: fewer turns for one frame."""
    try:
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, WIDE)
    except (ImportError, AttributeError, OSError):
        pass


class _Over(RuntimeError):
    """An object of a case that is over was asked for something."""


class Fault(Coded):
    """An exception for `send`, with the channel that it goes over."""

    __slots__ = ()

    def coded(self, codec: Any) -> Any:
        """As JSON data."""
        return described(*self.value)
