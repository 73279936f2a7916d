"""Pictures and widgets that every lesson uses.

A picture is a pure function of a state: `address_map`, `decode_picture`, `register_picture`,
`registers_picture`, `exit_timeline`, `console_picture`, `text_screen`, `worlds`, `bars`. It gives a
`Picture`, SVG and text. A table is a `Table`: `trace_table`, `cost_table`, `listing`. A widget is a
thin shell around such functions: `AddressProbe`, `ExitExplorer`, `RegisterViewer`, `Player`,
`TracePlayer`, `Quiz`, `Predict`, `Note`.

Read it in this order: `palette`, `svg`, one picture (`maps`), `shell`, one widget (`probe`).

The rule that keeps it simple: a picture costs no import of ipywidgets. A widget is imported when
somebody asks for it by name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from virtlab.show.compare import bars
from virtlab.show.console import console_frames, console_picture, explain_access
from virtlab.show.cost import cost_table
from virtlab.show.decode import Range, decode_picture
from virtlab.show.listing import listing
from virtlab.show.maps import address_map
from virtlab.show.registers import register_picture, registers_picture
from virtlab.show.screen import text_screen
from virtlab.show.svg import Picture
from virtlab.show.tables import Table, trace_table
from virtlab.show.timeline import exit_timeline
from virtlab.show.worlds import worlds

if TYPE_CHECKING:
    from virtlab.show.explorer import ExitExplorer
    from virtlab.show.note import Note
    from virtlab.show.player import Player, TracePlayer
    from virtlab.show.probe import AddressProbe
    from virtlab.show.quiz import Predict, Question, Quiz, question
    from virtlab.show.register_viewer import RegisterViewer

__all__ = [
    "AddressProbe",
    "ExitExplorer",
    "Note",
    "Picture",
    "Player",
    "Predict",
    "Question",
    "Quiz",
    "Range",
    "RegisterViewer",
    "Table",
    "TracePlayer",
    "address_map",
    "bars",
    "console_frames",
    "console_picture",
    "cost_table",
    "decode_picture",
    "exit_timeline",
    "explain_access",
    "listing",
    "question",
    "register_picture",
    "registers_picture",
    "text_screen",
    "trace_table",
    "worlds",
]

_WIDGETS = {
    "AddressProbe": "probe",
    "ExitExplorer": "explorer",
    "Note": "note",
    "Player": "player",
    "Predict": "quiz",
    "Question": "quiz",
    "Quiz": "quiz",
    "RegisterViewer": "register_viewer",
    "TracePlayer": "player",
    "question": "quiz",
}
"""Names that need ipywidgets, and the module each lives in."""


def __getattr__(name: str) -> object:
    """Import a widget when it is first asked for."""
    if name not in _WIDGETS:
        raise AttributeError(f"virtlab.show has no {name!r}")
    return getattr(import_module(f"virtlab.show.{_WIDGETS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
