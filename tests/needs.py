"""What a test needs of the machine: decorators that skip by name, with how to get it.

    @needs_qemu
    def test_against_qemu(): ...

The words come from the table of ``virtlab doctor``. What no package can bring, as KVM, may be
missing also where nothing else may be skipped: such a skip begins with ``NOT_HERE``.
"""

from __future__ import annotations

import functools

import pytest

from tests.conftest import NOT_HERE
from virtlab.course import doctor


@functools.cache
def missing(name: str) -> str:
    """Empty if the machine has it, else what is missing and how to get it."""
    check = next(check for check in doctor.CHECKS if check.name == name)
    if check.find() is not None:
        return ""
    return f"{NOT_HERE if check.hardware else ''}{name} is missing: {check.get}"


def needs(name: str):
    """A decorator: the test runs where ``virtlab doctor`` finds ``name``."""

    def decorate(test):
        @functools.wraps(test)
        def run(*args, **kwargs):
            if missing(name):
                pytest.skip(missing(name))
            return test(*args, **kwargs)

        return run

    return decorate


def require(name: str) -> None:
    """The same for a fixture or a helper: skip the test that uses it."""
    if missing(name):
        pytest.skip(missing(name))


def needs_qemu(test):
    """The test starts QEMU."""
    return pytest.mark.oracle(needs("QEMU")(test))


def needs_daemon(test):
    """The test drives a device of ``qemu-storage-daemon``."""
    return pytest.mark.oracle(needs("storage daemon")(test))


def needs_linux_now(test):
    """The test boots Linux in QEMU: some ten seconds. Few do so each time."""
    return pytest.mark.slow(pytest.mark.timeout(300)(needs_qemu(needs("Linux")(test))))


def needs_linux(test):
    """The test boots Linux in QEMU, which takes its time: it runs with VIRTLAB_SLOW=1 only."""
    return pytest.mark.long(pytest.mark.timeout(900)(needs_qemu(needs("Linux")(test))))


def needs_chromium(test):
    """The test drives a browser."""
    return pytest.mark.browser(needs("Chromium")(test))


def needs_lspci(test):
    """The test asks ``lspci``."""
    return pytest.mark.oracle(needs("lspci")(test))


def needs_iasl(test):
    """The test asks ``iasl``."""
    return pytest.mark.oracle(needs("iasl")(test))


def needs_kvm(test):
    """The test runs a guest on the real processor."""
    return pytest.mark.oracle(needs("KVM")(test))


needs_compiler = needs("C compiler")
needs_unicorn = needs("Unicorn")
needs_sandbox = needs("sandbox")
