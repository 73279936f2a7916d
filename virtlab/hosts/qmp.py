"""QEMU's control channel: pause, reset, press a key.

QMP is one JSON object a line. A command names what to `execute`; the answer has `return` or
`error`; an `event` may come in between.

    we send   {"execute": "query-status", "arguments": {}}
    QEMU      {"return": {"running": true, "status": "running", ...}}

`inputs` makes a `Keyboard` and a `Mouse` of `virtlab.backends` that are plugged into QEMU's
machine: a test presses the same keys, by the same names, on our board and on QEMU.

Follows QEMU's QMP specification. Leaves out capabilities: no out-of-band commands.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from virtlab.backends import Keyboard, Mouse
from virtlab.hosts.qtest import KEPT, Lines

QCODES = {
    "GRAVE": "grave_accent",
    "ENTER": "ret",
    "SPACE": "spc",
    "SHIFT_L": "shift",
    "CTRL_L": "ctrl",
    "ALT_L": "alt",
    "PAGE_UP": "pgup",
    "PAGE_DOWN": "pgdn",
}
"""QEMU's names of keys, where they are not ours in lower case."""

BUTTONS = ("left", "right", "middle")
"""The mouse's buttons, bit 0 first."""


class Qmp:
    """QEMU's control channel. `events` holds what QEMU told unasked, such as `"RESET"`."""

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        self._lines = Lines(sock, timeout)
        self.events: deque[str] = deque(maxlen=KEPT)

    def begin(self) -> None:
        """Take QEMU's greeting and return it. Before that there are no commands, and no events."""
        self._lines.receive()
        self.command("qmp_capabilities")

    def command(self, name: str, /, **arguments: object) -> Any:
        """Carry out `name` and give what it returns. `ValueError` with QEMU's words if refused."""
        self._lines.send(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        while "event" in (reply := json.loads(self._lines.receive())):
            self.events.append(reply["event"])
        if "error" in reply:
            raise ValueError(f"QEMU refused {name!r}: {reply['error']['desc']}")
        return reply["return"]


def inputs(command: Callable[..., Any]) -> tuple[Keyboard, Mouse]:
    """A keyboard and a mouse whose listeners send QEMU input events through `command`.

    QEMU refuses them with `ValueError` while the machine is paused.
    """
    keyboard, mouse = Keyboard(), Mouse()
    held = 0

    def key(name: str, down: bool) -> None:
        qcode = {"type": "qcode", "data": QCODES.get(name, name.lower())}
        command("input-send-event", events=[_event("key", down=down, key=qcode)])

    def moved(dx: int, dy: int, buttons: int) -> None:
        nonlocal held
        events = [_event("rel", axis="x", value=dx), _event("rel", axis="y", value=-dy)]
        for bit, name in enumerate(BUTTONS):
            if (buttons ^ held) >> bit & 1:
                events.append(_event("btn", button=name, down=bool(buttons >> bit & 1)))
        held = buttons
        command("input-send-event", events=events)

    def scrolled(steps: int) -> None:
        wheel = "wheel-up" if steps < 0 else "wheel-down"
        for down in (True, False) * abs(steps):
            command("input-send-event", events=[_event("btn", button=wheel, down=down)])

    keyboard.listener, mouse.listener, mouse.wheel_listener = key, moved, scrolled
    return keyboard, mouse


def _event(kind: str, **data: object) -> dict[str, object]:
    return {"type": kind, "data": data}
