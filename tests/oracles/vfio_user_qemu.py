"""A QEMU that has `vfio-user-pci`, which came with QEMU 10.1: found, or skipped by name.

It is optional everywhere: no Debian of today has it. `VIRTLAB_QEMU` names one that was only
unpacked; docs/real-systems.md says how.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess

import pytest

from tests.conftest import NOT_HERE
from virtlab.hosts.qemu import QEMU

PROGRAM = os.environ.get("VIRTLAB_QEMU", QEMU)
"""The program, or a path to it."""

DRIVER = "vfio-user-pci"
GET = "unpack one and name it in VIRTLAB_QEMU (docs/real-systems.md)"


@functools.cache
def found():
    """Where it is, or None."""
    path = shutil.which(PROGRAM)
    if path is None:
        return None
    # It is in no list of devices, but it answers for itself.
    words = [path, "-device", f"{DRIVER},help"]
    done = subprocess.run(words, capture_output=True, check=False, timeout=20)
    return path if b"socket=" in done.stdout else None


def needs_vfio_user(test):
    """The test starts a QEMU with `vfio-user-pci`."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        if found() is None:
            pytest.skip(f"{NOT_HERE}a QEMU with {DRIVER} is missing: {GET}")
        return test(*args, **kwargs)

    return pytest.mark.oracle(run)


def function(socket, **options):
    """QEMU's arguments for the function at `socket`."""
    words = {"driver": DRIVER, "socket": {"type": "unix", "path": str(socket)}, **options}
    return ["-device", json.dumps(words)]
