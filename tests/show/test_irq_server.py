"""On the server the count is the closed form: two exits an interrupt, or none."""

import pytest

from virtlab import server
from virtlab.clock import COSTS
from virtlab.show.irq_server import exits_of
from virtlab.vmm.interrupt_prices import predicted
from virtlab.vmm.irqchip import total
from virtlab.vmm.passthrough import Passthrough

EXIT = round(COSTS["vm_exit"].ns)


@pytest.mark.parametrize(("posted", "way"), [(False, "kernel"), (True, "posted")])
@pytest.mark.parametrize("n", [0, 1, 10])
def test_exits_of_interrupts_that_a_real_card_sends(posted, way, n):
    host = server.lesson_server()
    kernel = server.boot(host)
    passthrough = Passthrough(host, kernel)
    card = kernel.find(host.edu)
    counted = exits_of(passthrough, card, server.lesson_guest(host), posted, n)
    assert counted == total(predicted(way, "running", n, EXIT)[0]).exits
    assert counted == (0 if posted else 2 * n)
    assert passthrough.given == {}
