"""Problem set 4: both ends of a virtqueue, from its layout to 4096 chains at once.

The idea: the other end is always the library's. A student's driver is looked at by a device, a
student's device is served by a driver, and some drivers are hostile. What was read and written
counts as much as the result: in which order, where, and how often.

There is a module for each task; `machines` has what stands round both ends, whose records are in
`given.rings`. `walks`, `packed_lists` and `given.scalar_walk` say what is right; `sleeping` is the
device that works between two accesses. The texts of the tasks are in `solutions/text/ps04.py`.
"""

from virtlab.course.ps4.adding import ADD
from virtlab.course.ps4.events import EVENT
from virtlab.course.ps4.packed_pop import PACKED
from virtlab.course.ps4.popping import POP
from virtlab.course.ps4.returning import RETURN
from virtlab.course.ps4.vector import VECTOR
from virtlab.course.ps4.vring import VRING
from virtlab.course.ps4.walking import WALK

TASKS = (VRING, WALK, ADD, POP, RETURN, EVENT, PACKED, VECTOR)
"""The tasks in order."""
