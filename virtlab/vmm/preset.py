"""The least that a VMM can do for a guest that looks around: numbers that stand ready.

    Preset({0: 0x55})                    a port that always answers 0x55
    Photograph(functions)                a bus as it looked once: nothing can be changed
    Photograph(functions, kept=True)     the same as memory: everything can be changed

The idea: a guest decides by what it reads. So the VMM presets the status of a virtual port, and the
guest believes in the device. How far does it get? Until an answer has to *depend* on what it wrote:
then numbers no longer do, and there has to be a model with a state.

`Photograph` is the same for a bus. Its bytes are true, and it is no bus: sizing a BAR, numbering a
bridge and moving a region are behaviour.

Source: PCI 3.0, 6.1 (all ones where no function is), 6.2.5.1 (sizing).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from virtlab.pci.dump import DumpedFunction
from virtlab.pci.tlp import source_id
from virtlab.wire import all_ones


class Preset:
    """A device whose bytes stand fixed: `answers` by offset, all ones elsewhere.

    Writes are lost; `writes` counts them.
    """

    def __init__(self, answers: Mapping[int, int]) -> None:
        self.answers = dict(answers)
        self.writes = 0

    def read(self, offset: int, size: int) -> int:
        """The bytes that stand there."""
        data = bytes(self.answers.get(at, 0xFF) for at in range(offset, offset + size))
        return int.from_bytes(data, "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Nothing changes."""
        self.writes += 1


class Photograph:
    """Configuration space as it looked once, for `ConfigPorts`. With `kept`, writes stay.

    Where no function is, all ones are read and writes are lost.
    """

    def __init__(self, functions: Iterable[DumpedFunction], kept: bool = False) -> None:
        self.kept = kept
        self.functions = {
            source_id(each.bus, each.device, each.function): bytearray(each.data)
            for each in functions
        }

    def config_read(self, bus: int, device: int, number: int, offset: int, size: int) -> int:
        """What the photograph shows."""
        data = self.functions.get(source_id(bus, device, number))
        if data is None or offset + size > len(data):
            return all_ones(size)
        return int.from_bytes(data[offset : offset + size], "little")

    def config_write(
        self, bus: int, device: int, number: int, offset: int, size: int, value: int
    ) -> None:
        """Lost, or kept as it is: no bit is read-only, for a photograph knows no rule."""
        data = self.functions.get(source_id(bus, device, number))
        if self.kept and data is not None and offset + size <= len(data):
            data[offset : offset + size] = (value & all_ones(size)).to_bytes(size, "little")
