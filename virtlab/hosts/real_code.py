"""The same machine code on every host that this machine has.

    python      a small interpreter of ours: always here, and easy to read
    unicorn     QEMU's translator as a library: the extra virtlab[x86]
    kvm         the real processor: Linux with /dev/kvm

The idea: a host is a function from a VM with the code in its RAM to the last exit. Below it
anything may run. Above it nothing can tell, for the VMM sees the same records in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from virtlab.guest.small import SmallGuest
from virtlab.hosts.tiny_vm import TinyVm
from virtlab.trace import Event
from virtlab.vmm.exits import Exit
from virtlab.vmm.processor import run_guest
from virtlab.vmm.virtual_machine import VirtualMachine


class CodeHost(NamedTuple):
    """A place where machine code runs: `what` it is, whether it is here, and how to run there.

    `run(vm, code)` expects `code` in the VM's RAM at `Start().eip`.
    """

    name: str
    what: str
    here: Callable[[], bool]
    run: Callable[[VirtualMachine, bytes], Exit]


def _on_python(vm: VirtualMachine, code: bytes) -> Exit:
    host = TinyVm(vm)
    host.run(code)
    return host.last


def _on_unicorn(vm: VirtualMachine, code: bytes) -> Exit:
    from virtlab.hosts.unicorn_host import UnicornProcessor

    return run_guest(UnicornProcessor(vm), vm.vmm)


def _kvm_here() -> bool:
    if find_spec("fcntl") is None:
        return False
    from virtlab.hosts.kvm import available

    return available()


def _on_kvm(vm: VirtualMachine, code: bytes) -> Exit:
    from virtlab.hosts.kvm import KvmProcessor

    with KvmProcessor(vm) as processor:
        return run_guest(processor, vm.vmm)


HOSTS = {
    host.name: host
    for host in (
        CodeHost("python", "an interpreter of ours", lambda: True, _on_python),
        CodeHost(
            "unicorn",
            "QEMU's translator as a library",
            lambda: find_spec("unicorn") is not None,
            _on_unicorn,
        ),
        CodeHost("kvm", "the real processor", _kvm_here, _on_kvm),
    )
}
"""The hosts by name."""


def hosts_here() -> list[str]:
    """The names of those that can be used on this machine."""
    return [name for name, host in HOSTS.items() if host.here()]


def watch(name: str, vm: VirtualMachine, guest: SmallGuest) -> list[Event]:
    """Load `guest` into `vm`, run it on the host of that name, and give what the devices saw.

    Accesses of RAM are left out, as they are no exits, and the rest is numbered anew. `LookupError`
    for a host that is not here.
    """
    if name not in hosts_here():
        raise LookupError(f"no host {name!r} on this machine, but {', '.join(hosts_here())}")
    guest.load(vm.ram)
    with vm.trace.recording() as events:
        HOSTS[name].run(vm, guest.code)
    seen = (event for event in events if event.who != "ram")
    return [event._replace(seq=number) for number, event in enumerate(seen)]
