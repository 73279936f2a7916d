"""Problem set 7, the capstone: a back-end of one's own, and an unmodified Linux on it.

The idea: tasks 1 to 4 are the parts of a vhost-user back-end: its messages, its memory, its ring,
and what is left of it after a crash. In task 5 they serve a disk. Its last cases make the requests
that a real Linux made, from a recording that comes with the library. `real` boots that Linux.

`parts` has what earlier sets have asked for, `world` what stands round a back-end. There is a
module for each task, and beside it what its judge is made of. The texts of the tasks are in
`solutions/text/ps07.py`.
"""

from virtlab.course.ps7.back_end import BACK_END
from virtlab.course.ps7.crash import CRASH
from virtlab.course.ps7.stream import STREAM
from virtlab.course.ps7.table import TABLE
from virtlab.course.ps7.turn import TURN

TASKS = (STREAM, TABLE, TURN, CRASH, BACK_END)
"""The tasks in order."""
