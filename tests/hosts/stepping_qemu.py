"""A QEMU whose time can be stepped, or a skip that says why there is none."""

from __future__ import annotations

import functools
import os

import pytest

from tests.conftest import NOT_HERE
from tests.needs import require
from virtlab.hosts.qemu import find_qemu
from virtlab.hosts.remote import QtestMachine


@functools.cache
def steps(program):
    """Whether its time can be stepped; `-accel help` does not tell."""
    try:
        QtestMachine("none", stepped=True, qemu=program).close()
    except ConnectionError as error:
        if "invalid accelerator qtest" in str(error):
            return False
        raise
    return True


def stepping_qemu():
    """The path of one: the installed QEMU, or the one that ``VIRTLAB_QEMU`` names."""
    require("QEMU")
    for program in (os.environ.get("VIRTLAB_QEMU"), find_qemu()):
        if program and steps(program):
            return program
    pytest.skip(f"{NOT_HERE}no QEMU with the accelerator qtest; VIRTLAB_QEMU=PATH names one")
