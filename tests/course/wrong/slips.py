"""Wrong answers made from the right one: the solution with one slip in it.

A slip is `(mistake, right, wrong, cases)`: what is wrong in words, the piece of the solution, what
stands in its place, and the cases of which one must be the first to fail. Where `right` is empty,
`wrong` is a whole answer of its own.
"""

from tests.course.answers import notebook, sources


def slipped(name, task, slips):
    """`(mistake, source, cases)` of each slip in the solution of `task` of the set `name`."""
    solution = sources(notebook("solutions", name))[task]
    return [
        (mistake, _with(solution, right, wrong, mistake), cases)
        for mistake, right, wrong, cases in slips
    ]


def _with(solution, right, wrong, mistake):
    if not right:
        return wrong
    assert right in solution, f"{mistake}: the solution has no {right!r}"
    return solution.replace(right, wrong)
