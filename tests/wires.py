"""The wire of a network card of QEMU's: when it may be used.

QEMU connects its `stream` in the background, and begins with the link down. It hears of the
connection when its main loop turns next. What a card sends before that is dropped, and counts as
sent (QEMU, net/stream.c).

`info network` then shows the address of the far end. Before, it shows nothing (QEMU 7.2), or
"connecting" (later ones).
"""

import time

PATIENCE = 20.0
"""Real seconds that a connection may take."""

CONNECTED = "type=stream,unix:"


def wait_until_connected(machine):
    """Return when QEMU has heard that its stream is connected. `TimeoutError` if it does not."""
    end = time.monotonic() + PATIENCE
    while CONNECTED not in machine.qmp("human-monitor-command", **{"command-line": "info network"}):
        if time.monotonic() > end:
            raise TimeoutError(f"QEMU's wire was not connected in {PATIENCE} seconds")
        machine.settle()
