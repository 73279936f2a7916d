"""How driver and device agree: the steps of the device status, and the features of one session.

    bit            value   needs before it                        who may refuse it
    ACKNOWLEDGE        1   -                                      -
    DRIVER             2   ACKNOWLEDGE                            -
    FEATURES_OK        8   ACKNOWLEDGE, DRIVER                    the device, for the features
    DRIVER_OK          4   all three; on a legacy interface two   -
    FAILED           128   -                                      -

The idea: the driver sets one bit after the other, and each says "this is done". A 0 resets, from
everywhere. DEVICE_NEEDS_RESET is the device's own bit; from then on, and from FAILED on, only a
reset leads further.

The rule that keeps it simple: a step that is refused is not shown. The driver reads the status back
and sees how far it came. Nothing else happens, and no bit ever goes away but by a reset.

A legacy interface has no FEATURES_OK: what is accepted then is what is offered as well.

Source: virtio 1.3 2.1, 2.1.1, 2.1.2, 2.2.1 to 2.2.3, 3.1.1, 3.1.2, 6.1, 6.3. Left out: SUSPEND.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from virtlab.errors import GuestError
from virtlab.virtio.features import Feature, Features
from virtlab.virtio.features import names as feature_names
from virtlab.virtio.status import Status, names

ANY_LAYOUT = 27
"""Legacy only: buffers may be cut in any way. A transitional device must offer it (6.3)."""

LEGACY_BITS = 32
"""Features that a legacy interface can carry: bits 0 to 31 (4.1.4.10)."""


class Step(NamedTuple):
    """One bit of the status, and the bits that must be there `before` it."""

    bit: Status
    before: int


_START = (Step(Status.ACKNOWLEDGE, 0), Step(Status.DRIVER, Status.ACKNOWLEDGE))
_KNOWN = Status.ACKNOWLEDGE | Status.DRIVER

MODERN = (
    *_START,
    Step(Status.FEATURES_OK, _KNOWN),
    Step(Status.DRIVER_OK, _KNOWN | Status.FEATURES_OK),
)
"""The order of 3.1.1."""

LEGACY = (*_START, Step(Status.DRIVER_OK, _KNOWN))
"""The same without steps 5 and 6 (3.1.2)."""

DRIVERS_BITS = _KNOWN | Status.FEATURES_OK | Status.DRIVER_OK | Status.FAILED
"""What a driver may set. All other bits of a write are ignored."""

STUCK = Status.FAILED | Status.DEVICE_NEEDS_RESET
"""Either of these, and only a reset leads further."""


class Progress(NamedTuple):
    """The `status` after a write, and the `refusal` of what it asked for in vain, if anything."""

    status: int
    refusal: GuestError | None = None


def advance(status: int, written: int, agree: Callable[[], None], legacy: bool = False) -> Progress:
    """What becomes of `status` when the driver writes `written`, which is not 0.

    `agree` is called when it is time for FEATURES_OK, and raises `GuestError` if the device does
    not agree. A write may take several steps; it goes as far as the first that is refused.

    >>> advance(0, 0x0B, lambda: None)
    Progress(status=11, refusal=None)
    >>> advance(1, 4, lambda: None).refusal.why
    'the driver cleared ACKNOWLEDGE'
    """
    # The driver MUST NOT clear a device status bit.
    cleared = status & ~written & DRIVERS_BITS
    if cleared:
        why = f"the driver cleared {', '.join(names(cleared))}"
        return Progress(status, GuestError(why, "virtio 1.3 2.1.1"))
    wanted = written & ~status & DRIVERS_BITS
    try:
        for step in LEGACY if legacy else MODERN:
            if wanted & step.bit:
                _check(status, step)
                if step.bit == Status.FEATURES_OK:
                    agree()
                status |= step.bit
    except GuestError as refusal:
        return Progress(status | wanted & Status.FAILED, refusal)
    return Progress(status | wanted & Status.FAILED)


def _check(status: int, step: Step) -> None:
    """`GuestError` unless `step` is next."""
    # After FAILED the driver MUST reset the device before it initializes it again.
    if status & STUCK:
        why = f"{step.bit.name} after {', '.join(names(status & STUCK))}"
        raise GuestError(why, "virtio 1.3 2.1.1")
    # The driver MUST follow the sequence of steps.
    missing = step.before & ~status
    if missing:
        why = f"{step.bit.name} before {', '.join(names(missing))}"
        raise GuestError(why, "virtio 1.3 3.1.1")


def live(status: int, legacy: bool = False) -> bool:
    """Whether the device may use its queues.

    Before DRIVER_OK it must not (2.1.2). Only a legacy driver may use it earlier (3.1.2).
    """
    return not status & STUCK and bool(legacy or status & Status.DRIVER_OK)


# -- features

NOTHING_REQUIRED: Mapping[int, Features] = MappingProxyType({})


def legacy_offer(offered: Features) -> Features:
    """What of `offered` a legacy interface shows, and what it adds (4.1.4.10, 6.3).

    >>> sorted(legacy_offer(frozenset({5, 29, 32, 34})))
    [5, 27, 29]
    """
    return frozenset(bit for bit in offered if bit < LEGACY_BITS) | {ANY_LAYOUT}


def check_offer(offered: Features, requires: Mapping[int, Features] = NOTHING_REQUIRED) -> None:
    """`ValueError` if a device may not offer this: it is our mistake, not a guest's.

    The device MUST NOT offer a feature which requires another that was not offered (2.2.2).
    """
    for bit, needed in requires.items():
        if bit in offered and not needed <= offered:
            raise ValueError(f"feature {bit} needs {sorted(needed - offered)}, not offered")


def check_accepted(
    offered: Features, accepted: Features, requires: Mapping[int, Features] = NOTHING_REQUIRED
) -> None:
    """`GuestError` if a driver may not accept just these. `requires` says which needs which."""
    # The driver MUST NOT accept a feature which the device did not offer.
    if accepted - offered:
        why = f"accepted, but never offered: {', '.join(feature_names(accepted - offered))}"
        raise GuestError(why, "virtio 1.3 2.2.1")
    # ... and none which requires another feature which was not accepted.
    for bit, needed in requires.items():
        if bit in accepted and not needed <= accepted:
            missing = ", ".join(feature_names(needed - accepted))
            raise GuestError(f"{feature_names({bit})[0]} without {missing}", "virtio 1.3 2.2.1")
    # A driver MUST accept VERSION_1 if it is offered; a device may insist.
    if Feature.VERSION_1 in offered and Feature.VERSION_1 not in accepted:
        raise GuestError("VERSION_1 was offered and not accepted", "virtio 1.3 6.1")
