"""The HPET: one counter that always runs, and three timers that wait for it to reach a number.

The idea: there is one clock to read, `MAIN_CNT`, and it never goes back. A timer compares it with
its comparator and interrupts on a match. *One-shot*, the comparator stays, so that the next match
comes when the counter has gone all the way round. *Periodic*, each match adds the number that was
last written.

        MAIN_CNT  ---0---------100---------200---------300--->      10 ns a tick
        COMP          100       |   200     |   300     |           periodic, period 100
        interrupt               ^           ^           ^

Everything is declared, and `RegisterFile` decodes it: the code is only what happens on a write, and
on a match. `timer` is one timer, a register file of its own at 0x100 + 0x20 n; `block` is the rest.

Source: IA-PC HPET specification 1.0a, 2.3. Choices where it is silent: `MAIN_CNT` ignores a write
while it runs; a comparator equal to the counter matches next time round; every timer can be
periodic. Deviation, to protect the host: matches of a timer closer than `MIN_INTERVAL` make one
interrupt, and its comparator moves then.
"""

from virtlab.devices.hpet.block import BASE, Hpet
from virtlab.devices.hpet.timer import (
    FIRST_TIMER,
    MIN_INTERVAL,
    TICK,
    TIMER_STRIDE,
    HpetTimer,
)

__all__ = ["BASE", "FIRST_TIMER", "MIN_INTERVAL", "TICK", "TIMER_STRIDE", "Hpet", "HpetTimer"]
