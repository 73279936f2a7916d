"""``virtlab doctor``: what this machine can do, and how to get what it lacks.

A check is a function that returns what it found, or None. The table ``CHECKS`` says what each is
good for and how to get it. The tests' skip messages are taken from the same table.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

SECONDS = 20  # the longest that one check may take


def python_version() -> str | None:
    """This Python's version, if it is new enough."""
    found = f"{platform.python_version()} ({sys.executable})"
    return found if sys.version_info >= (3, 11) else None


def package(name: str) -> str | None:
    """Version of an installed Python package, without importing it."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def importable(name: str) -> str | None:
    """Version of a package that also imports here: one with a native library may not."""
    code = f"import {name}"
    return package(name) if output([sys.executable, "-c", code]) is not None else None


def output(command: list[str]) -> str | None:
    """Standard output of a command that succeeds in time, else None."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def program(*names: str) -> str | None:
    """Path and version line of the first of these programs that answers ``--version``."""
    for name in names:
        path = shutil.which(name)
        said = output([path, "--version"]) if path else None
        if said is not None:
            return f"{said.splitlines()[0] if said else 'found'} ({path})"
    return None


def qemu() -> str | None:
    """QEMU for x86 machines."""
    return program("qemu-system-x86_64")


def chromium() -> str | None:
    """Chromium or Chrome, for the browser tests."""
    return program("chromium", "chromium-browser", "google-chrome")


def compiler() -> str | None:
    """A C compiler, for the benchmarks: the one that `$CC` names, or `cc`."""
    return program(os.environ.get("CC", "cc"))


def lspci() -> str | None:
    """``lspci``, which decodes PCI configuration space."""
    return program("lspci")


def iasl() -> str | None:
    """ACPICA's compiler, which takes ACPI tables apart."""
    path = shutil.which("iasl")
    said = output([path, "-v"]) if path else None
    if said is None:
        return None
    version = next((line for line in said.splitlines() if "version" in line), "found")
    return f"{version.strip()} ({path})"


def kvm() -> str | None:
    """Whether a guest really runs on the processor: a small one is tried."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return None
    ran = output([sys.executable, "-m", "virtlab.hosts.kvm"])
    return None if ran is None else "a guest ran on /dev/kvm"


def storage_daemon() -> str | None:
    """QEMU's block devices behind vhost-user, without a machine."""
    return program("qemu-storage-daemon")


def linux() -> str | None:
    """An unmodified Linux that QEMU can boot: kernel, modules, busybox, mke2fs."""
    from virtlab.hosts.linux_find import version_of
    from virtlab.hosts.linux_initrd import linux_image

    try:
        kernel = linux_image().kernel
        return f"{version_of(kernel)} ({kernel})"
    except (OSError, ValueError):
        return None


def sandbox() -> str | None:
    """Whether bubblewrap can really make a sandbox here."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    spaces = ["--unshare-user", "--unshare-all", "--die-with-parent", "--as-pid-1"]
    tried = output([path, *spaces, "--ro-bind", "/", "/", "--tmpfs", "/tmp", "true"])
    return None if tried is None else program("bwrap")


def confinement() -> str | None:
    """What holds an answer here where bubblewrap does not: all that a process gives away itself."""
    from virtlab.course.grading.confine import NAMES
    from virtlab.course.grading.sandbox import NO_BUBBLEWRAP, NO_SIZE, plain_losses

    lost = set(plain_losses()) - {NO_BUBBLEWRAP, NO_SIZE, NAMES}
    return None if lost else "limits, Landlock and a filter of system calls"


def services() -> str | None:
    """Whether a device model can be a process of its own here."""
    from virtlab.vmm.service.process import why_not

    return None if why_not() else "processes, sockets and shared memory"


@dataclass(frozen=True)
class Check:
    """One thing a machine may have: how to look for it, what it is for, how to get it.

    `hardware` says that no package brings it.
    """

    name: str
    find: Callable[[], str | None]
    purpose: str
    get: str
    needed: bool = False
    hardware: bool = False


CHECKS = (
    Check("Python", python_version, "everything", "install Python 3.11 or newer", needed=True),
    Check("NumPy", lambda: package("numpy"), "everything", "make lab", needed=True),
    Check("matplotlib", lambda: package("matplotlib"), "plots", "make lab", needed=True),
    Check("ipywidgets", lambda: package("ipywidgets"), "widgets", "make lab", needed=True),
    Check("JupyterLab", lambda: package("jupyterlab"), "the lessons", "make lab", needed=True),
    Check("QEMU", qemu, "the same drivers on QEMU's devices", "sudo apt install qemu-system-x86"),
    Check(
        "storage daemon",
        storage_daemon,
        "our vhost-user driver on another's devices",
        "sudo apt install qemu-system-common",
    ),
    Check(
        "Linux",
        linux,
        "an unmodified Linux on our devices",
        "sudo apt install linux-image-cloud-amd64 busybox-static e2fsprogs",
    ),
    Check("lspci", lspci, "a second opinion on PCI dumps", "sudo apt install pciutils"),
    Check("iasl", iasl, "a second opinion on ACPI tables", "sudo apt install acpica-tools"),
    Check("Chromium", chromium, "the browser tests", "sudo apt install chromium"),
    Check("C compiler", compiler, "the benchmarks", "sudo apt install gcc libc6-dev"),
    Check(
        "KVM",
        kvm,
        "guest code on the real processor",
        "enable virtualization in the firmware, load the kvm module, join the group kvm",
        hardware=True,
    ),
    Check(
        "Unicorn",
        lambda: importable("unicorn"),
        "guest code on an emulated processor",
        "pip install -c constraints.txt -e '.[x86]'",
    ),
    Check(
        "services",
        services,
        "device models in processes of their own",
        "use Linux or macOS, or WSL on Windows",
        hardware=True,
    ),
    Check(
        "sandbox", sandbox, "running other people's answers safely", "sudo apt install bubblewrap"
    ),
    Check(
        "confinement",
        confinement,
        "running other people's answers without bubblewrap",
        "use Linux 5.13 or newer with Landlock, on x86-64 or AArch64",
        hardware=True,
    ),
)


@dataclass(frozen=True)
class Finding:
    """What one check said: ``detail`` is empty when nothing was found."""

    name: str
    found: bool
    needed: bool
    detail: str
    purpose: str
    get: str


def look(check: Check) -> Finding:
    """Make one check."""
    detail = check.find()
    return Finding(
        check.name, detail is not None, check.needed, detail or "", check.purpose, check.get
    )


def examine() -> list[Finding]:
    """Make every check, in the order of the table."""
    return [look(check) for check in CHECKS]


def lines(findings: list[Finding]) -> list[str]:
    """The findings for a person to read."""
    text = []
    for finding in findings:
        mark = "yes" if finding.found else "NO" if finding.needed else "no"
        said = finding.detail if finding.found else f"for {finding.purpose}: {finding.get}"
        text.append(f"{finding.name:<15}{mark:<5}{said}")
    return text


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print a list for a program to read")


def run(options: argparse.Namespace) -> int:
    """Print the findings; 1 if something is missing that every lesson needs."""
    findings = examine()
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(lines(findings)))
    return 0 if all(finding.found or not finding.needed for finding in findings) else 1
