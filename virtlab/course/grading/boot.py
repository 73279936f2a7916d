"""The first lines that run in a child: the way to its modules, its bounds, then `child.main`.

    python -P -s -S -B boot.py '{"path": [...], "limits": [...], "readable": [...], ...}'

The idea: between the start of Python and the student's first line only code of ours runs, and this
is all of it. `-S` leaves out `site`, so no `.pth` file of an installed package runs here, and
`sys.path` is what the grader says.

The rule that keeps it simple: bounds first. What `child` imports, it imports within them. If one
does not hold that the grader counts on, or a module is not there, nothing of the student's is run.

What it leaves out: safety. Before `confine` this process is ours, after it a stranger's.
"""

from __future__ import annotations

import importlib
import json
import sys


def main() -> None:
    """Confine this process, then serve the grader on descriptors 0 and 1."""
    said = json.loads(sys.argv.pop())
    sys.path += said["path"]
    names_of_site()
    from virtlab.course.grading.confine import confine
    from virtlab.course.grading.limits import NOT_BEGUN, Limits

    losses = confine(Limits(*said["limits"]), said["readable"], said["writable"], said["alone"])
    if not set(losses) <= set(said["expected"]):
        sys.exit(NOT_BEGUN)
    try:
        module = importlib.import_module(said["module"])
    except ImportError:
        sys.exit(NOT_BEGUN)
    module.main(*([losses] if said["module"].endswith("probe") else []))


def names_of_site() -> None:
    """`exit`, `quit` and `help`: a learner's cell may use them."""
    import site

    site.setquit()
    site.sethelper()


if __name__ == "__main__":
    main()
