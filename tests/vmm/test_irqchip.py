"""An interrupt's price by the home of its controller: what is counted is the closed form."""

import itertools

import pytest

from tests.vmm.service.rig import shared_vm
from virtlab.clock import COSTS
from virtlab.vmm.irqchip import (
    DISK,
    STEPS,
    TIMER,
    UART,
    UART_SERVED,
    Interrupt,
    measured,
    predicted,
    timed,
    total,
)
from virtlab.vmm.meter import Cost
from virtlab.vmm.service.remote import SWITCH

EXIT = round(COSTS["vm_exit"].ns)
ALL = list(itertools.product((TIMER, DISK, UART, UART_SERVED), ("VMM", "service")))


@pytest.fixture(scope="module")
def vm():
    return shared_vm()[1].vm


@pytest.mark.parametrize(("interrupt", "chip"), ALL)
def test_what_is_counted_is_the_closed_form(vm, interrupt, chip):
    counted = measured(vm, chip, interrupt)
    assert tuple(counted) == STEPS
    assert counted == predicted(chip, interrupt, EXIT)


@pytest.mark.parametrize(
    ("interrupt", "inside", "served"),
    [
        (TIMER, Cost(4, 8), Cost(4, 20)),
        (DISK, Cost(5, 10), Cost(5, 24)),
        (UART, Cost(5, 10), Cost(5, 22)),
        (UART_SERVED, Cost(5, 12), Cost(5, 20)),
    ],
)
def test_the_closed_form_is_the_one_of_the_lesson(interrupt, inside, served):
    """Numbers written down by hand, so that the two formulas cannot be wrong together."""
    for chip, cost in (("VMM", inside), ("service", served)):
        assert total(predicted(chip, interrupt, EXIT)) == timed(cost, EXIT)


def test_a_step_takes_the_time_of_its_exits_and_switches():
    assert timed(Cost(2, 10), 230) == Cost(2, 10, 2 * 230 + 6 * SWITCH)


def test_a_handler_that_reads_more_pays_more_where_the_device_is_served():
    read = [total(predicted("VMM", Interrupt(4, "service", n), EXIT)) for n in (1, 2)]
    assert read[1].switches - read[0].switches == 4
