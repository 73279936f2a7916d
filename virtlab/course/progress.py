"""What a reader has done: lessons run to the end, quizzes answered, tasks that pass.

    check("ps1.q1") passes       note_task: the task
    a lesson's last cell         lesson_ends: the lesson, and from then on what its quiz says
    the index's cell             view: all of it as a picture, and a button that forgets it

The idea: this module knows lessons, quizzes and tasks, and `progress_file` the file in which they
are noted. Importing it costs nothing; pictures and widgets are imported when they are shown.

The rule that keeps it simple: each of these may be called anywhere, and where nothing can be noted
it says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.course.progress_file import Progress, note, read

if TYPE_CHECKING:
    from virtlab.show.note import Note
    from virtlab.show.progress_picture import Row
    from virtlab.show.progress_view import ProgressView
    from virtlab.show.quiz import Quiz


def note_task(task_id: str) -> bool:
    """A task's check has passed."""
    return note(lambda progress: progress.with_task(task_id))


def forget() -> bool:
    """Begin anew: whether nothing is noted any more."""
    return note(lambda _: Progress())


def lesson_ends(number: str) -> Note | None:
    """The last cell of lesson `number` (`"14"`) has run. It says so, where that could be noted."""
    from virtlab.show.note import Note
    from virtlab.show.quiz import Quiz

    quiz = Quiz.latest
    Quiz.heard[:] = [lambda answered: _note_quiz(number, answered)]
    if quiz is not None:
        _note_quiz(number, quiz)
    if not note(lambda progress: progress.with_lesson(number)):
        return None
    return Note(f"Lesson {number} is noted as run to the end. `index.ipynb` shows how far you are.")


def _note_quiz(number: str, quiz: Quiz) -> None:
    """What is right in this quiz; nothing before the first answer."""
    results = quiz.results
    if any(result is not None for result in results):
        right = sum(result is True for result in results)
        note(lambda progress: progress.with_quiz(number, right, len(results)))


def view() -> ProgressView:
    """The course as a picture, with what the reader has done, and a button to begin anew."""
    from virtlab.show.progress_view import ProgressView

    return ProgressView(rows, forget)


def rows() -> list[Row]:
    """The parts of the course, each with its lessons and problem sets as they stand now."""
    from virtlab.course.syllabus import PARTS
    from virtlab.show.progress_picture import Row, Stop

    known = read()
    found = []
    for part in PARTS:
        stops = []
        for lesson in part.lessons:
            name = f"{lesson.number} {lesson.name}"
            stops.append(Stop(name, *lesson_state(known, lesson.number)))
            due = [number for number, after in part.sets.items() if after == lesson.number]
            stops += [Stop(f"Problem set {n}", *set_state(known, n), exercise=True) for n in due]
        found.append(Row(part.name, tuple(stops)))
    return found


def lesson_state(known: Progress, number: str) -> tuple[str, str]:
    """How far a lesson is (`""`, `"begun"`, `"done"`), and the same in words."""
    right, total = known.quizzes.get(number, (0, 0))
    words = ["run"] if number in known.lessons else []
    words += [f"quiz {right} of {total}"] if total else []
    done = number in known.lessons and 0 < right == total
    return "done" if done else "begun" if words else "", ", ".join(words) or "not yet"


def set_state(known: Progress, number: int) -> tuple[str, str]:
    """The same for a problem set: how many of its tasks pass."""
    from virtlab.course.checks import TASKS

    tasks = {task for task in TASKS if task.startswith(f"ps{number}.")}
    passed = len(tasks & known.tasks)
    state = "done" if passed == len(tasks) else "begun" if passed else ""
    return state, f"{passed} of {len(tasks)} tasks"
