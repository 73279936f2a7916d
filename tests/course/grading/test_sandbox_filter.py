"""The filter of system calls, asked about each call on both processors without running any."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.course.grading.bpf import run
from virtlab.course.grading import seccomp, syscalls
from virtlab.course.grading.seccomp import ALLOW, ENOSYS, EPERM, KILL, X32, program
from virtlab.course.grading.syscalls import ALONE, MACHINES, NEWEST, TABLE

PID = 4711
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
DEFINED = re.compile(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", re.M)
NEVER = {
    "x86_64": {
        "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "socket": 41, "socketpair": 53,
        "connect": 42, "bind": 49, "sendmsg": 46, "ptrace": 101, "process_vm_writev": 311,
        "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272,
        "setns": 308, "io_uring_setup": 425, "io_uring_enter": 426, "bpf": 321, "keyctl": 250,
        "perf_event_open": 298, "userfaultfd": 323, "setuid": 105, "setrlimit": 160,
        "memfd_create": 319, "shmget": 29, "mq_open": 240, "msgget": 68, "tkill": 200,
        "pidfd_open": 434, "pidfd_send_signal": 424, "rt_sigqueueinfo": 129, "kexec_load": 246,
        "rt_tgsigqueueinfo": 297, "init_module": 175, "seccomp": 317, "personality": 135,
        "landlock_restrict_self": 446, "arch_prctl": 158, "modify_ldt": 154, "iopl": 172,
        "sched_setaffinity": 203, "setpriority": 141, "mknod": 133, "mincore": 27, "sync": 162,
        "name_to_handle_at": 303, "open_by_handle_at": 304, "setsid": 112, "capset": 126,
    },
    "aarch64": {
        "execve": 221, "execveat": 281, "socket": 198, "socketpair": 199, "connect": 203,
        "ptrace": 117, "process_vm_writev": 271, "mount": 40, "unshare": 97, "setns": 268,
        "io_uring_setup": 425, "bpf": 280, "keyctl": 219, "setuid": 146, "setrlimit": 164,
        "memfd_create": 279, "shmget": 194, "tkill": 130, "pidfd_send_signal": 424,
        "rt_sigqueueinfo": 138, "seccomp": 277, "mknodat": 33, "capset": 91, "setsid": 157,
    },
}  # fmt: skip


def ask(name, number, *arguments, arch=None):
    machine = MACHINES[name]
    return run(program(machine, PID), number, *arguments, arch=arch or machine.audit)


@pytest.mark.parametrize("name", MACHINES)
def test_the_numbers_in_the_table_are_those_of_the_kernels_headers(name):
    if not HEADERS[name].exists():
        pytest.skip("the C library's headers are missing: sudo apt install libc6-dev")
    found = DEFINED.findall(HEADERS[name].read_text())
    defined = {each.replace("fstatat", "newfstatat"): int(number) for each, number in found}
    defined |= {each: int(number) for each, number in found}
    machine = MACHINES[name]
    rows = [
        row.split() for row in re.split(r"[;\n]", TABLE + ALONE) if row.strip() and "#" not in row
    ]
    assert len(rows) == len({row[0] for row in rows}) > 100
    for row in rows:
        number = row[machine.column]
        assert defined.get(row[0]) == (None if number == "-" else int(number)), row[0]
    for each in ("clone", "clone3", "kill", "tgkill", "fcntl", "ioctl", "prctl", "prlimit64"):
        assert defined[each] == getattr(machine, each)


@pytest.mark.parametrize("name", MACHINES)
def test_what_an_honest_answer_needs_is_allowed(name):
    for number in MACHINES[name].allowed():
        assert ask(name, number, 1, 2, 3, 4, 5, 6) == ALLOW


@pytest.mark.parametrize(("name", "call"), [(name, call) for name in NEVER for call in NEVER[name]])
def test_what_reaches_beyond_the_process_is_refused(name, call):
    assert ask(name, NEVER[name][call], 1, 2, 3) == EPERM


@pytest.mark.parametrize("name", MACHINES)
def test_every_number_that_is_not_in_the_table_is_refused(name):
    machine = MACHINES[name]
    guarded = {machine.clone, machine.clone3, machine.kill, machine.tgkill, machine.fcntl}
    guarded |= {machine.ioctl, machine.prctl, machine.prlimit64}
    for number in set(range(NEWEST + 1)) - set(machine.allowed()) - guarded:
        assert ask(name, number) == EPERM
    assert ask(name, NEWEST + 1) == ask(name, X32 - 1) == ask(name, machine.clone3) == ENOSYS


@pytest.mark.parametrize("name", MACHINES)
def test_another_kind_of_call_ends_the_process(name):
    i386, arm = 0x40000003, 0x40000028
    assert ask(name, 0, arch=i386) == ask(name, 0, arch=arm) == KILL
    assert ask(name, X32 | 1) == ask(name, -1) == KILL


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize(
    ("flags", "verdict"),
    [
        (0x003D0F00, ALLOW),  # glibc's pthread_create
        (0x007D0F00, ALLOW),  # musl's
        (0x01200011, EPERM),  # fork, as glibc makes it: CHILD_SETTID, CHILD_CLEARTID, SIGCHLD
        (0x00004111, EPERM),  # vfork
        (17, EPERM),
        (0, EPERM),
        (0x003D0F00 | 0x10000000, EPERM),  # with a new user namespace
        (0x003D0F00 | 0x20000000, EPERM),  # with a new namespace of processes
        (0x003D0F00 & ~0x10000, EPERM),  # all but CLONE_THREAD
    ],
)
def test_a_clone_makes_a_thread_and_nothing_else(name, flags, verdict):
    assert ask(name, MACHINES[name].clone, flags) == verdict


@pytest.mark.parametrize("name", MACHINES)
def test_a_signal_goes_to_itself_only(name):
    for number in (MACHINES[name].kill, MACHINES[name].tgkill):
        assert ask(name, number, PID, 9) == ALLOW
        for other in (1, 0, PID + 1, -1 & 0xFFFFFFFF, -PID & 0xFFFFFFFF):
            assert ask(name, number, other, 9) == EPERM


@pytest.mark.parametrize("name", MACHINES)
def test_a_limit_is_read_and_never_set(name):
    number = MACHINES[name].prlimit64
    assert ask(name, number, 0, 7, 0, 0x7FFF_0000_1000) == ALLOW
    assert ask(name, number, 0, 7, 0x7FFF_0000_1000, 0) == EPERM
    assert ask(name, number, 0, 7, 0x7FFF_0000_0000, 0) == EPERM
    assert ask(name, number, 0, 7, 0x1_0000_0000, 0) == EPERM, "the low half alone is 0"


@pytest.mark.parametrize("name", MACHINES)
def test_a_descriptor_sends_no_signals_and_takes_no_locks(name):
    for command in (0, 1, 2, 3, 4, 1030):
        assert ask(name, MACHINES[name].fcntl, 3, command) == ALLOW
    for command in (6, 7, 8, 10, 15, 1024, 1026, 1031, 1033):  # SETLK, SETOWN, SETSIG, LEASE ...
        assert ask(name, MACHINES[name].fcntl, 3, command) == EPERM
    assert ask(name, MACHINES[name].ioctl, 0, 0x5401) == ALLOW
    for request in (0x5412, 0x541D, 0x8902, 0x5203):  # TIOCSTI, TIOCCONS, SIOCSPGRP, RNDADDENTROPY
        assert ask(name, MACHINES[name].ioctl, 0, request) == EPERM
    assert ask(name, MACHINES[name].prctl, 15, 1) == ALLOW
    for option in (1, 4, 22, 38, 23, 36):  # PDEATHSIG, DUMPABLE, SECCOMP, CAPBSET, SUBREAPER
        assert ask(name, MACHINES[name].prctl, option) == EPERM


@pytest.mark.parametrize("name", MACHINES)
def test_rights_and_times_of_files_are_for_a_child_with_files_of_its_own(name):
    """Landlock holds what is in a file, and not what is written beside it."""
    machine = MACHINES[name]
    with_files, without = program(machine, PID, True), program(machine, PID, False)
    beside = set(machine.allowed(True)) - set(machine.allowed(False))
    assert len(beside) >= 9
    for number in beside:
        assert run(with_files, number, arch=machine.audit) == ALLOW
        assert run(without, number, arch=machine.audit) == EPERM


def test_the_filter_fits_into_the_kernel():
    """BPF_MAXINSNS is 4,096, and a jump skips at most 255 instructions."""
    for machine in MACHINES.values():
        lines = program(machine, PID)
        assert len(lines) < 4096
        for at, (_, true, false, _) in enumerate(lines[:-1]):
            assert at + 1 + max(true, false) < len(lines)
            assert max(true, false) < 256


def test_an_unknown_processor_has_no_filter_and_says_so(monkeypatch):
    monkeypatch.setattr(seccomp, "MACHINES", {})
    assert seccomp.install(True) == f"no filter of system calls for {os.uname().machine}"


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_a_kernel_that_refuses_the_filter_is_heard(monkeypatch):
    """BPF_MAXINSNS again: a filter that is too long is EINVAL."""
    monkeypatch.setattr(seccomp, "program", lambda *_: [(6, 0, 0, ALLOW)] * 5000)
    assert seccomp.install(True) == "no filter of system calls: Invalid argument"


def test_the_table_has_no_call_that_the_guards_decide():
    for machine in MACHINES.values():
        assert not set(machine.allowed()) & {machine.clone, machine.kill, machine.fcntl}
    assert syscalls.THREAD & syscalls.THREAD_FLAGS
