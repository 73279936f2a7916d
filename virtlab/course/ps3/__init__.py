"""Problem set 3: the pieces of a VMM, from a shadow I/O routine to a cable that is none.

The idea: now the student's code is the VMM's, and a guest drives it. So a case is a guest: a real
VM of the library where exits count, or accesses made up for the purpose. What comes from a guest
may be hostile, and what belongs to another VM must stay as it is.

There is a module for each task; `machines` has the memory and the host that they share,
`instructions` the machine code of task 6. The texts of the tasks are in `solutions/text/ps03.py`.
"""

from virtlab.course.ps3.bitmaps import BITMAPS
from virtlab.course.ps3.discovery import BOARD
from virtlab.course.ps3.links import LINKS
from virtlab.course.ps3.mmio import MMIO
from virtlab.course.ps3.page_tables import EPT
from virtlab.course.ps3.partition import DISK
from virtlab.course.ps3.proxy import PROXY
from virtlab.course.ps3.remapping import REMAP
from virtlab.course.ps3.three_layers import REQUEST

TASKS = (REQUEST, PROXY, BOARD, BITMAPS, EPT, MMIO, REMAP, DISK, LINKS)
"""The tasks in order."""
