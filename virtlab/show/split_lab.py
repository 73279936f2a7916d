"""Choose a transfer, and see into which packets it is cut.

The idea: the picture is `split_picture`, a pure function of a `Split`. Here are six fields. A
field that makes no sense is said, and the picture stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from virtlab.show.shell import (
    Shell,
    button,
    choice,
    drawing,
    entry,
    quoted,
    row,
    said,
    sentence,
    shown,
    whole,
)
from virtlab.show.splitting import BOUNDARIES, LONGEST, SIZES, Split, explain, split_picture


class SplitLab(Shell):
    """Choose a transfer and the two sizes, and see the packets."""

    def __init__(self, start: Split | None = None) -> None:
        self._start = self.state = start or Split()
        self._picture, self._says = drawing(), sentence()
        self._way = choice("The device", [("reads", False), ("writes", True)], self.state.write)
        self._address = entry("Address", f"{self.state.address:#x}")
        self._length = entry("Bytes", str(self.state.length))
        self._payload = choice("Max_Payload_Size", SIZES, self.state.payload)
        self._request = choice("Max_Read_Request_Size", SIZES, self.state.request)
        self._boundary = choice("Read Completion Boundary", BOUNDARIES, self.state.boundary)
        self._fields: Sequence[object] = (
            self._way, self._address, self._length, self._payload, self._request, self._boundary,
        )  # fmt: skip
        buttons = row(button("Reset", self.reset))
        rows = [row(*self._fields[:3]), row(*self._fields[3:]), buttons]
        super().__init__("SplitLab", [*rows, self._picture, self._says])
        for control in self._fields:
            control.observe(lambda _: self._read(), "value")  # type: ignore[attr-defined]
        self._show()

    def reset(self) -> None:
        """The transfer of the start."""
        start = self._start
        self._way.value, self._payload.value = start.write, start.payload
        self._request.value, self._boundary.value = start.request, start.boundary
        self._address.value, self._length.value = f"{start.address:#x}", str(start.length)
        self._read()

    def _read(self) -> None:
        """Take what the fields say, if it makes sense."""
        address, length = whole(self._address.value), whole(self._length.value)
        if address is None or address >> 32:
            self._complain(self._address.value, "address", "below `0x100000000`")
        elif length is None or not 1 <= length <= LONGEST:
            self._complain(self._length.value, "length", f"from 1 to `{LONGEST}`")
        else:
            self.state = replace(
                self.state,
                write=self._way.value,
                address=address,
                length=length,
                payload=self._payload.value,
                request=self._request.value,
                boundary=self._boundary.value,
            )
            self._show()

    def _complain(self, typed: str, what: str, limit: str) -> None:
        self._says.value = said(f"{quoted(typed)} is no {what}: give a number {limit}.")

    def _show(self) -> None:
        self._picture.value = shown(split_picture(self.state))
        self._says.value = said(explain(self.state))
