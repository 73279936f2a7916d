"""The device status as a table, and which features may be accepted: virtio 1.3 2.1, 2.2, 3.1."""

import itertools

import pytest

from virtlab.errors import GuestError
from virtlab.virtio.features import Feature
from virtlab.virtio.negotiation import (
    ANY_LAYOUT,
    DRIVERS_BITS,
    STUCK,
    advance,
    check_accepted,
    check_offer,
    legacy_offer,
    live,
)
from virtlab.virtio.status import Status

ACK, DRIVER, DRIVER_OK, FEATURES_OK = 1, 2, 4, 8
NEEDS_RESET, FAILED = Status.DEVICE_NEEDS_RESET, Status.FAILED


def agree():
    """A device that accepts any features."""


def disagree():
    raise GuestError("not these", "virtio 1.3 2.2.1")


def test_the_steps_of_3_1_1_in_order():
    status = 0
    for written in (1, 3, 11, 15):
        status, refusal = advance(status, written, agree)
        assert (status, refusal) == (written, None)


def test_the_steps_of_3_1_2_have_no_features_ok():
    status = 0
    for written in (1, 3, 7):
        status, refusal = advance(status, written, disagree, legacy=True)
        assert (status, refusal) == (written, None)
    assert advance(3, 11, agree, legacy=True).status == 3


def test_several_steps_may_be_one_write():
    assert advance(0, 15, agree).status == 15


def test_a_write_goes_as_far_as_the_first_step_that_is_refused():
    status, refusal = advance(0, 15, disagree)
    assert status == ACK | DRIVER
    assert refusal.why == "not these"


@pytest.mark.parametrize(
    ("status", "written", "says"),
    [
        (0, DRIVER, "DRIVER before ACKNOWLEDGE"),
        (ACK, ACK | FEATURES_OK, "FEATURES_OK before DRIVER"),
        (3, 3 | DRIVER_OK, "DRIVER_OK before FEATURES_OK"),
        (0, DRIVER_OK, "DRIVER_OK before ACKNOWLEDGE, DRIVER, FEATURES_OK"),
        (3, ACK, "the driver cleared DRIVER"),
        (15, 8, "the driver cleared ACKNOWLEDGE, DRIVER, DRIVER_OK"),
        (3 | FAILED, 11 | FAILED, "FEATURES_OK after FAILED"),
        (3 | NEEDS_RESET, 11, "FEATURES_OK after DEVICE_NEEDS_RESET"),
    ],
)
def test_what_is_out_of_order_is_refused_by_its_clause(status, written, says):
    after, refusal = advance(status, written, agree)
    assert after == status
    assert refusal.why == says
    assert refusal.spec in ("virtio 1.3 2.1.1", "virtio 1.3 3.1.1")


def test_failed_is_heard_from_everywhere():
    for status in (0, 1, 3, 11, 15, 15 | NEEDS_RESET):
        assert advance(status, status | FAILED, agree).status == status | FAILED
    assert advance(3, 11 | FAILED, disagree).status == 3 | FAILED


def test_a_driver_cannot_set_or_clear_what_is_the_device_s():
    assert advance(15, 15 | NEEDS_RESET, agree) == (15, None)
    assert advance(15 | NEEDS_RESET, 15, agree) == (15 | NEEDS_RESET, None)
    assert advance(15, 15 | 16 | 32, agree) == (15, None)


def every_write(legacy):
    """Every status with every write, and whether the device agrees."""
    bits = DRIVERS_BITS | NEEDS_RESET
    statuses = [status for status in range(256) if not status & ~bits]
    for status, written, willing in itertools.product(statuses, range(1, 256), (True, False)):
        yield (
            status,
            written,
            willing,
            advance(status, written, agree if willing else disagree, legacy),
        )


@pytest.mark.parametrize("legacy", [False, True])
def test_no_write_clears_a_bit_or_passes_what_is_stuck(legacy):
    for status, written, willing, (after, refusal) in every_write(legacy):
        gained = after & ~status
        assert after & status == status
        assert not gained & ~written
        assert not gained & NEEDS_RESET
        if status & STUCK:
            assert not gained & ~FAILED
        if gained & FEATURES_OK:
            assert willing
            assert not legacy
        missed = written & ~after & DRIVERS_BITS & ~(FEATURES_OK if legacy else 0)
        assert bool(missed or status & ~written & DRIVERS_BITS) == (refusal is not None)


def test_what_can_be_reached_is_a_line_and_its_failures():
    """From 0 by any writes: five states, and each of them failed."""
    found, todo = set(), [0]
    while todo:
        status = todo.pop()
        if status not in found:
            found.add(status)
            todo += [advance(status, written, agree).status for written in range(1, 256)]
    line = {0, 1, 3, 11, 15}
    assert found == line | {status | FAILED for status in line}


def test_a_device_is_live_from_driver_ok_on():
    """2.1.2; and 3.1.2 for a legacy driver, which may use it before."""
    assert [status for status in (0, 1, 3, 11, 15, 15 | 64, 15 | 128) if live(status)] == [15]
    assert [status for status in (0, 3, 7, 7 | 64, 7 | 128) if live(status, True)] == [0, 3, 7]


# -- features

OFFER = frozenset({5, Feature.RING_EVENT_IDX, Feature.VERSION_1, Feature.RING_PACKED})


def test_any_subset_with_version_1_is_accepted():
    for count in range(4):
        for chosen in itertools.combinations(OFFER - {Feature.VERSION_1}, count):
            check_accepted(OFFER, frozenset({*chosen, Feature.VERSION_1}))


@pytest.mark.parametrize(
    ("accepted", "says"),
    [
        ({Feature.VERSION_1, 6}, "never offered: bit 6 .*2.2.1"),
        ({5}, "VERSION_1 was offered and not accepted .*6.1"),
        ({Feature.VERSION_1, Feature.RING_PACKED}, "RING_PACKED without bit 5 .*2.2.1"),
    ],
)
def test_a_set_that_a_driver_may_not_accept_is_refused_by_its_clause(accepted, says):
    with pytest.raises(GuestError, match=says):
        check_accepted(OFFER, frozenset(accepted), {Feature.RING_PACKED: frozenset({5})})


def test_a_device_must_not_offer_what_lacks_its_ground():
    """2.2.2: a mistake of the library's user, not of a guest."""
    check_offer(OFFER, {6: frozenset({7})})
    with pytest.raises(ValueError, match=r"feature 5 needs \[6\]"):
        check_offer(OFFER, {5: frozenset({6})})


def test_a_legacy_interface_shows_32_bits_and_any_layout():
    assert legacy_offer(OFFER) == {5, Feature.RING_EVENT_IDX, ANY_LAYOUT}
