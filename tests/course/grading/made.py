"""Results made by hand, for tests of what is done with them."""

from virtlab.course.grading.result import (
    CaseResult,
    CellError,
    Cost,
    Failure,
    Flaw,
    Grades,
    Result,
    Run,
    TaskResult,
    Unplaced,
)

CASES = (CaseResult("one", True, free=True), CaseResult("two", False), CaseResult("x", True, True))
FAILED = TaskResult(
    "ps1.q1",
    "Who answers?",
    2.5,
    5,
    77,
    CASES,
    Failure("two", given="7", expected="8", yours="9", look="the data sheet"),
    (Cost("exits", 4, 3),),
    "ps1.q1  Who answers?\n  FAILS   two",
)
PASSED = TaskResult("ps1.q2", "Listen", 3.0, 3, 78, (CaseResult("all", True),), report="fine")


def made(student="ada", tasks=(FAILED, PASSED), **more):
    """A result of problem set 1."""
    return Result(student, "ps01", f"{student}/ps01.ipynb", "00ff", tuple(tasks), **more)


FULL = made(
    flaws=(Flaw("edited", "ps1-q1", (3,), "cell 3 was edited"),),
    errors=(CellError(4, "ZeroDivisionError: division by zero"),),
    run=Run(1.25, "plain", ("files are not hidden",)),
)
GRADES = Grades(7, "84b9", (FULL, made("ben", refused="two of them")), (Unplaced("x.txt", "why"),))
