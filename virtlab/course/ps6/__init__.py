"""Problem set 6: a remapping unit from both of its sides, and functions that are given away.

The idea: in tasks 1 and 4 the answer is the unit, entry by entry from raw bytes; in tasks 2 and 3
it drives one. Tasks 5 and 6 ask what one card, and one machine, can give to whom. The judge is
always the library: its walk, its unit with caches, or devices behind it.

There is a module for each task, and beside it what its judge is made of. The texts of the tasks are
in `solutions/text/ps06.py`.
"""

from virtlab.course.ps6.fault_records import FAULTS
from virtlab.course.ps6.functions import FUNCTIONS
from virtlab.course.ps6.mapping import MAPPING
from virtlab.course.ps6.plan import PLAN
from virtlab.course.ps6.remapping import REMAP
from virtlab.course.ps6.walk import WALK

TASKS = (WALK, MAPPING, FAULTS, REMAP, FUNCTIONS, PLAN)
"""The tasks in order."""
