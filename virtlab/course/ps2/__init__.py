"""Problem set 2: find what is on the buses, and let devices reach memory.

The idea: the machine is the judge, as in problem set 1. Configuration space, routing, the disk and
the network card are the library's own. There is a module for each task; `boards`, `trees` and
`faults` have the buses that tasks 2 to 4 run on, `traffic` the packets of task 5, `machines` what
tasks 6 and 7 drive. The texts of the tasks are in `solutions/text/ps02.py`.
"""

from virtlab.course.ps2.addresses import ADDRESS
from virtlab.course.ps2.diagnosing import DIAGNOSE
from virtlab.course.ps2.disk import READ_DISK
from virtlab.course.ps2.packets import MATCH
from virtlab.course.ps2.scanning import SCAN
from virtlab.course.ps2.sizing import SIZE_BAR
from virtlab.course.ps2.transmit import TRANSMIT

TASKS = (ADDRESS, SIZE_BAR, SCAN, DIAGNOSE, MATCH, READ_DISK, TRANSMIT)
"""The tasks in order."""
