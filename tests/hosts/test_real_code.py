"""The hosts by name: which are here, and that the lesson's guest does the same on each."""

import pytest

from virtlab.guest.small import ATA_PIO, FAULT
from virtlab.hosts import real_code
from virtlab.hosts.real_code import HOSTS, hosts_here, watch
from virtlab.machine import lesson_vm
from virtlab.vmm.exits import TripleFault


def test_the_small_interpreter_is_always_here(monkeypatch):
    assert hosts_here()[0] == "python"
    away = {name: host._replace(here=lambda: False) for name, host in HOSTS.items()}
    monkeypatch.setattr(real_code, "HOSTS", away | {"python": HOSTS["python"]})
    assert hosts_here() == ["python"]
    with pytest.raises(LookupError, match="no host 'kvm' on this machine, but python"):
        watch("kvm", lesson_vm().vm, ATA_PIO)


@pytest.mark.parametrize("name", hosts_here())
def test_a_sector_is_read_and_printed_on_each_host(name):
    vm, model = lesson_vm(), lesson_vm()
    events = watch(name, vm.vm, ATA_PIO)
    assert vm.terminal.text == ATA_PIO.prints == "disk: This is sector 1."
    assert events == watch("python", model.vm, ATA_PIO)
    assert sum(event.kind == "exit" for event in events) == vm.exits


@pytest.mark.parametrize("name", hosts_here())
def test_the_end_is_told(name):
    vm = lesson_vm()
    FAULT.load(vm.vm.ram)
    assert HOSTS[name].run(vm.vm, FAULT.code) == TripleFault()


def test_where_there_is_no_linux_kvm_is_not_here(monkeypatch):
    monkeypatch.setattr(real_code, "find_spec", lambda name: None)
    assert hosts_here() == ["python"]
