"""Problem set 1: what answers at an address, and a device of your own.

The idea: the machine is the judge. A case asks the library's own bus, UART, screen or register
file what should have happened, and compares. There is a module for each task, and `boards` has the
small machines that they run on. The texts of the tasks are in `solutions/text/ps01.py`.
"""

from virtlab.course.ps1.console import CONSOLE
from virtlab.course.ps1.decode import DECODE
from virtlab.course.ps1.device import DEVICE
from virtlab.course.ps1.line import SET_LINE
from virtlab.course.ps1.printing import PRINT
from virtlab.course.ps1.screen import SHOW
from virtlab.course.ps1.write_rule import WRITTEN

TASKS = (DECODE, PRINT, SET_LINE, CONSOLE, SHOW, WRITTEN, DEVICE)
"""The tasks in order."""
