"""A small VM for any machine code: RAM, and devices that answer at every port and at `MMIO`."""

from tests.oracles.x86 import Answers
from tests.vmm.rig import MMIO, Host
from virtlab.memory import PAGE
from virtlab.vmm.virtual_machine import VirtualMachine

CODE = 0x1000
END = "fa f4"
"""cli; hlt"""


class Everything:
    """A device that answers a fixed series, and keeps nothing."""

    def __init__(self):
        self.answers = Answers()

    def read(self, offset, size):
        return self.answers.next(size)

    def write(self, offset, size, value):
        pass


def vm_with(code: str, **options):
    """A VM of 64 KiB with `code` loaded, and answering devices at every port and at `MMIO`."""
    host = Host()
    vm = VirtualMachine(host, host.frames, 16 * PAGE, **options)
    vm.ram.write(CODE, bytes.fromhex(code))
    vm.ports.map(0, 1 << 16, Everything(), "everything", width=4)
    vm.memory.map(MMIO, 2 * PAGE, Everything(), "device", width=4)
    return vm
