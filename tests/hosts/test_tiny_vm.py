"""The small processor as a vCPU: its exits have their form, and its end is told."""

import pytest

from tests.vmm.rig import Host, Requests, vm_on
from virtlab.hosts.tiny_vm import TinyVm, with_form
from virtlab.vmm.exits import HltExit, IoExit, TripleFault
from virtlab.vmm.processor import Start
from virtlab.vmm.vmm import MAX_HALT
from virtlab.vmm.x86_opcodes import decode


def run(code, start=None, **options):
    """Run code given in hex in a VM; the exits that the VMM saw, and the run."""
    vm, _, _ = vm_on(Host(), **options)
    host, seen = TinyVm(vm), []
    vmm = host.vmm

    class Watching:
        def handle(self, exit):
            seen.append(exit)
            return vmm.handle(exit)

    host.vmm = Watching()
    done = host.run(bytes.fromhex(code), start) if start else host.run(bytes.fromhex(code))
    assert host.last == (seen[-1] if seen else HltExit(0))
    return seen, done


@pytest.mark.parametrize(
    ("code", "form"),
    [
        ("e4 60", {"immediate": True}),
        ("ec", {}),
        ("6c", {"string": True}),
        ("f3 6e", {"string": True, "rep": True}),
    ],
)
def test_an_io_exit_gets_the_form_of_its_instruction(code, form):
    exit = IoExit(0x60, 1, False)
    assert with_form(exit, decode(bytes.fromhex(code), 0, 0)) == IoExit(0x60, 1, False, **form)


def test_other_exits_and_accesses_of_no_instruction_stay_as_they_are():
    assert with_form(HltExit(5), decode(b"\xe4\x60", 0, 0)) == HltExit(5)
    assert with_form(IoExit(0x60, 1, False), None) == IoExit(0x60, 1, False)


def test_the_end_is_an_exit_whose_answer_nobody_waits_for():
    seen, done = run("b0 41 e6 80 fa f4", controller=Requests(0x21))
    assert seen == [IoExit(0x80, 1, True, 0x41, immediate=True), HltExit(0)]
    assert done.end == "halted"


def test_a_sleep_that_nothing_ends_has_exited_already():
    seen, done = run("fb f4 90")
    assert (seen, done.end) == ([HltExit(MAX_HALT)], "asleep")


def test_a_triple_fault_is_an_exit():
    assert run("0f 0b")[0] == [TripleFault()]


def test_code_that_runs_out_ends_with_no_exit():
    assert run("90")[0] == []


def test_where_it_starts_can_be_said():
    _, done = run("50 eb 00", Start(eip=0x2000, esp=0x3000))
    assert (done.path, done.registers["esp"]) == ([0x2000, 0x2001], 0x2FFC)
