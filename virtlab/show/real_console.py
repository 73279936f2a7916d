"""Linux's console in a notebook: it replays what was recorded, and takes keys where Linux is alive.

    First  Back  Play  Step  Last  Reset     Go to   Speed   Jump to: mkfs, mount, ...
    Follow                                   Type a line:  [ ls /mnt          ]  Ctrl-C

The idea: a frame is the screen after one more piece of what Linux printed. So a recorded console
and a living one are the same thing, and the living one has more frames every time it is asked.

The rule that keeps it simple: only the session knows whether somebody is there. It has `press`
where keys go anywhere, and a recording has no line to type in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from virtlab.hosts.tape import Tape
from virtlab.hosts.tape_moments import Moment
from virtlab.show.real_follow import Follower
from virtlab.show.real_screen import plain, screen_picture
from virtlab.show.shell import button, entry, row, said
from virtlab.show.svg import Picture

LIVE = "live"
"""The tier in which keys go to a Linux."""

CTRL_C = "\x03"


class Frames:
    """The pieces of a console: `ends[i]` bytes of `data` are out in frame `i`, at `ns[i]`."""

    def __init__(self, moments: Sequence[Moment] = ()) -> None:
        self.data = b""
        self.ends: list[int] = [0]
        self.ns: list[int] = [0]
        self.commands: dict[str, int] = {}
        self.take(moments)

    def take(self, moments: Sequence[Moment]) -> None:
        """Begin again, with these."""
        self.data, self.ends, self.ns, self.commands = b"", [0], [0], {}
        for moment in moments:
            if isinstance(moment.what, bytes):
                self.data += moment.what
                self.ends.append(len(self.data))
                self.ns.append(moment.ns)
            elif moment.kind == "said":
                name = str(getattr(moment.what, "name", ""))
                self.commands.setdefault(name, len(self.ends) - 1)

    def __len__(self) -> int:
        return len(self.ends)

    def picture(self, index: int, title: str) -> Picture:
        """Frame `index`."""
        end = self.ends[index]
        fresh = end - self.ends[index - 1] if index else 0
        below = f"{end} of {len(self.data)} bytes, after {self.ns[index] / 1e9:.2f} s"
        return screen_picture(self.data[:end], title, fresh, below)

    def says(self, index: int) -> str:
        """Frame `index` in a sentence."""
        if not index:
            return "Nothing is printed yet."
        new = self.data[self.ends[index - 1] : self.ends[index]]
        words = " ".join(plain(new).split())
        cut = words if len(words) < 90 else f"{words[:89]}…"
        shown = f"`{cut.replace('`', chr(39))}`" if cut else "an empty line"
        return f"Piece {index} of {len(self) - 1}, after {self.ns[index] / 1e9:.2f} s: {shown}"


class RealConsole(Follower):
    """The console of `real`, a session of `virtlab.hosts.live`, or of a `Tape`.

    It starts at the last frame. A session in the tier "live" is followed, and takes keys.
    """

    def __init__(self, real: Any, title: str = "The console of Linux") -> None:
        self.real = real
        self.live = not isinstance(real, Tape) and real.tier.name == LIVE
        self.frames = Frames(self._moments())
        super().__init__(
            len(self.frames),
            lambda index: self.frames.picture(index, title),
            self.frames_say,
            title,
            self.frames.commands,
            len(self.frames) - 1,
            self._grown if self.live else None,
        )
        if self.live:
            box: Any = self
            self.line = entry("Type a line", "")
            self.line.layout.width = "26em"
            self.line.observe(lambda change: self.type(change["new"]), "value")
            stop = button("Ctrl-C", lambda: self.press(CTRL_C), "Interrupt what runs")
            box.children = (*box.children, row(self.line, stop))

    def __repr__(self) -> str:
        return "RealConsole: what Linux prints"

    def frames_say(self, index: int) -> str:
        """A frame in a sentence, and whether anybody is there."""
        who = "Linux is there: type a line." if self.live else "This is a recording: step through."
        return f"{self.frames.says(index)}. {who}"

    def type(self, line: str) -> None:
        """Send a line; the box is ready for the next one."""
        if line:
            self.line.value = ""
            self.press(f"{line}\n")

    def press(self, keys: str) -> None:
        """Send keys, and follow what comes. One that has ended takes none."""
        try:
            self.real.press(keys)
        except (OSError, ValueError) as error:
            self._says.value = said(f"Nothing is sent: {error}")
            return
        self._follow.value = True
        self.refresh()

    def _moments(self) -> Sequence[Moment]:
        tape = self.real if isinstance(self.real, Tape) else self.real.tape
        return tape.moments

    def _grown(self) -> int:
        self.frames.take(self._moments())
        return len(self.frames)
