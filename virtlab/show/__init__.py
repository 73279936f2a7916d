"""Pictures and widgets that every lesson uses.

A picture is a pure function of a state, and gives a `Picture`, SVG and text: `address_map`,
`decode_picture`, `register_picture`, `registers_picture`, `exit_timeline`, `console_picture`,
`text_screen`, `worlds`, `bars`; of DMA `dma_timeline`, `scatter_picture`; of PCI `topology`,
`resources`, `tlp_picture`, `config_picture`, `bar_sizing`, `split_picture`; of a VMM
`layer_journey`, `journey_picture`, `looks_picture`, `sizes_picture`, `bitmap_picture`,
`run_picture`, `page_walk`, `nested_walk`, `remap_picture`, `assign_picture`, `two_vms`; of virtio
`path_picture`, `split_ring_picture`, `packed_ring_picture`, `chain_picture`, `race_picture`,
`threshold_picture`, `vring_map`, `vring_picture`, `writers_picture`, `batch_picture`,
`levels_picture`, `ratio_picture`, `attack_picture`; of SR-IOV `function_map`.
`frame_buffer` is a photo of a screen, `plot` a plot of matplotlib with words. A table is a
`Table`: `trace_table`, `packet_table`, `pin_table`, `cost_table`, `descriptor_table`,
`setup_table`, `listing`. A widget is a thin shell around such functions: `AddressProbe`,
`AssignBoard`, `AttackLab`, `BarLab`, `BatchExplorer`, `BitmapEditor`, `BusLab`, `ConfigView`,
`DiscoveryPlayer`, `DmaExplorer`, `ExitExplorer`, `InterruptLab`, `Journey`, `LayerLab`,
`PacketViewer`, `PathLab`, `PathPlayer`, `Player`, `PresetLab`, `RaceStepper`, `RegisterViewer`,
`RemapLab`, `RequestWalker`, `RingStepper`, `ShareLab`, `SplitLab`, `SwitchLab`,
`ThresholdExplorer`, `TracePlayer`, `VfLab`, `VringLab`, `VtdLab`, `WalkLab`, `Quiz`, `Predict`,
`Note`. What only one lesson shows, it imports from its module: `vtd_*`, `irq_*`, `vf_*`,
`share_*`, `real_*`.

Read it in this order: `palette`, `svg`, one picture (`maps`), `shell`, one widget (`probe`).

The rule that keeps it simple: a picture costs no import of ipywidgets. A widget is imported when
somebody asks for it by name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from virtlab.show.assign_picture import assign_picture
from virtlab.show.attack_picture import attack_picture
from virtlab.show.bar_sizing import bar_sizing
from virtlab.show.batch_levels import levels_picture
from virtlab.show.batch_picture import batch_picture
from virtlab.show.batch_ratios import ratio_picture
from virtlab.show.bitmap_picture import bitmap_picture
from virtlab.show.bitmap_run import run_picture
from virtlab.show.compare import bars
from virtlab.show.config_bytes import config_picture
from virtlab.show.console import console_frames, console_picture, explain_access
from virtlab.show.cost import cost_table, price
from virtlab.show.decode import Range, decode_picture
from virtlab.show.dma import dma_timeline, tally
from virtlab.show.framebuffer import frame_buffer
from virtlab.show.journey_picture import journey_picture
from virtlab.show.layer_journey import layer_journey
from virtlab.show.listing import listing
from virtlab.show.looks import looks_picture, sizes_picture
from virtlab.show.maps import address_map
from virtlab.show.nested_walk import nested_walk
from virtlab.show.nodes import nodes_of, nodes_of_dump
from virtlab.show.notify_picture import threshold_picture
from virtlab.show.packets import packet_table, tlp_picture
from virtlab.show.page_walk import page_walk
from virtlab.show.path_picture import path_picture
from virtlab.show.pins import pin_table
from virtlab.show.plots import plot
from virtlab.show.race_picture import race_picture
from virtlab.show.registers import register_picture, registers_picture
from virtlab.show.remap_picture import descriptor_table, remap_picture
from virtlab.show.resources import resources
from virtlab.show.ring_chain import chain_picture
from virtlab.show.ring_packed_picture import packed_ring_picture
from virtlab.show.ring_picture import split_ring_picture
from virtlab.show.scan_cost import closed_form, purposes
from virtlab.show.scatter import scatter_picture
from virtlab.show.screen import text_screen
from virtlab.show.splitting import Split, split_picture
from virtlab.show.svg import Picture
from virtlab.show.tables import Table, trace_table
from virtlab.show.timeline import exit_timeline
from virtlab.show.topology import topology
from virtlab.show.two_vms import two_vms
from virtlab.show.vf_grid import function_map
from virtlab.show.vring_map import vring_map
from virtlab.show.vring_picture import vring_picture
from virtlab.show.vring_table import setup_table
from virtlab.show.vring_writers import writers_picture
from virtlab.show.vtd_picture import vtd_walk
from virtlab.show.worlds import worlds

if TYPE_CHECKING:
    from virtlab.show.assign_board import AssignBoard
    from virtlab.show.attack_lab import AttackLab
    from virtlab.show.bar_lab import BarLab
    from virtlab.show.batch_explorer import BatchExplorer
    from virtlab.show.bitmap_editor import BitmapEditor
    from virtlab.show.config_view import ConfigView
    from virtlab.show.discovery_lab import BusLab, PresetLab
    from virtlab.show.discovery_player import DiscoveryPlayer
    from virtlab.show.dma_explorer import DmaExplorer
    from virtlab.show.explorer import ExitExplorer
    from virtlab.show.irq_lab import InterruptLab
    from virtlab.show.journey import Journey
    from virtlab.show.layer_lab import LayerLab
    from virtlab.show.note import Note
    from virtlab.show.notify_lab import ThresholdExplorer
    from virtlab.show.packet_viewer import PacketViewer
    from virtlab.show.path_lab import PathLab
    from virtlab.show.path_player import PathPlayer
    from virtlab.show.player import Player, TracePlayer
    from virtlab.show.probe import AddressProbe
    from virtlab.show.quiz import Predict, Question, Quiz, question
    from virtlab.show.race_lab import RaceStepper
    from virtlab.show.register_viewer import RegisterViewer
    from virtlab.show.remap_lab import RemapLab
    from virtlab.show.ring_stepper import RingStepper
    from virtlab.show.share_lab import ShareLab
    from virtlab.show.split_lab import SplitLab
    from virtlab.show.vf_lab import VfLab
    from virtlab.show.vf_switch_lab import SwitchLab
    from virtlab.show.vring_lab import VringLab
    from virtlab.show.vtd_lab import VtdLab
    from virtlab.show.walk_lab import WalkLab
    from virtlab.show.walker import Request, RequestWalker

__all__ = [
    "AddressProbe",
    "AssignBoard",
    "AttackLab",
    "BarLab",
    "BatchExplorer",
    "BitmapEditor",
    "BusLab",
    "ConfigView",
    "DiscoveryPlayer",
    "DmaExplorer",
    "ExitExplorer",
    "InterruptLab",
    "Journey",
    "LayerLab",
    "Note",
    "PacketViewer",
    "PathLab",
    "PathPlayer",
    "Picture",
    "Player",
    "Predict",
    "PresetLab",
    "Question",
    "Quiz",
    "RaceStepper",
    "Range",
    "RegisterViewer",
    "RemapLab",
    "Request",
    "RequestWalker",
    "RingStepper",
    "ShareLab",
    "Split",
    "SplitLab",
    "SwitchLab",
    "Table",
    "ThresholdExplorer",
    "TracePlayer",
    "VfLab",
    "VringLab",
    "VtdLab",
    "WalkLab",
    "address_map",
    "assign_picture",
    "attack_picture",
    "bar_sizing",
    "bars",
    "batch_picture",
    "bitmap_picture",
    "chain_picture",
    "closed_form",
    "config_picture",
    "console_frames",
    "console_picture",
    "cost_table",
    "decode_picture",
    "descriptor_table",
    "dma_timeline",
    "exit_timeline",
    "explain_access",
    "frame_buffer",
    "function_map",
    "journey_picture",
    "layer_journey",
    "levels_picture",
    "listing",
    "looks_picture",
    "nested_walk",
    "nodes_of",
    "nodes_of_dump",
    "packed_ring_picture",
    "packet_table",
    "page_walk",
    "path_picture",
    "pin_table",
    "plot",
    "price",
    "purposes",
    "question",
    "race_picture",
    "ratio_picture",
    "register_picture",
    "registers_picture",
    "remap_picture",
    "resources",
    "run_picture",
    "scatter_picture",
    "setup_table",
    "sizes_picture",
    "split_picture",
    "split_ring_picture",
    "tally",
    "text_screen",
    "threshold_picture",
    "tlp_picture",
    "topology",
    "trace_table",
    "two_vms",
    "vring_map",
    "vring_picture",
    "vtd_walk",
    "worlds",
    "writers_picture",
]

_WIDGETS = {
    "AddressProbe": "probe",
    "AssignBoard": "assign_board",
    "AttackLab": "attack_lab",
    "BarLab": "bar_lab",
    "BatchExplorer": "batch_explorer",
    "BitmapEditor": "bitmap_editor",
    "BusLab": "discovery_lab",
    "ConfigView": "config_view",
    "DiscoveryPlayer": "discovery_player",
    "DmaExplorer": "dma_explorer",
    "ExitExplorer": "explorer",
    "InterruptLab": "irq_lab",
    "Journey": "journey",
    "LayerLab": "layer_lab",
    "Note": "note",
    "PacketViewer": "packet_viewer",
    "PathLab": "path_lab",
    "PathPlayer": "path_player",
    "Player": "player",
    "Predict": "quiz",
    "PresetLab": "discovery_lab",
    "Question": "quiz",
    "Quiz": "quiz",
    "RaceStepper": "race_lab",
    "RegisterViewer": "register_viewer",
    "RemapLab": "remap_lab",
    "Request": "walker",
    "RequestWalker": "walker",
    "RingStepper": "ring_stepper",
    "ShareLab": "share_lab",
    "SplitLab": "split_lab",
    "SwitchLab": "vf_switch_lab",
    "ThresholdExplorer": "notify_lab",
    "TracePlayer": "player",
    "VfLab": "vf_lab",
    "VringLab": "vring_lab",
    "VtdLab": "vtd_lab",
    "WalkLab": "walk_lab",
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
