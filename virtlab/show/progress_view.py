"""How far a reader is, as a widget: the picture, a button that reads anew, and one that forgets.

The idea: the widget gets two functions, one that reads the rows and one that forgets them, and
knows no file. To forget takes two presses, because nothing brings it back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from virtlab.show.progress_picture import Row, progress_picture, summary
from virtlab.show.shell import Shell, button, drawing, row, said, sentence, shown


class ProgressView(Shell):
    """`ProgressView(rows, forget)`: `forget` says whether nothing is noted any more."""

    def __init__(self, rows: Callable[[], Sequence[Row]], forget: Callable[[], bool]) -> None:
        self.rows, self.forget = rows, forget
        self._picture, self._says = drawing(), sentence()
        self._sure = button("Yes, forget everything", self.reset, kind="danger")
        buttons = row(
            button("Read again", self.look),
            button("Begin anew", self.ask),
            self._sure,
        )
        super().__init__("(where you are in the course)", [self._picture, buttons, self._says])
        self.look()

    def look(self, before: str = "") -> None:
        """Draw what is noted now; `before` are words to say first."""
        rows = self.rows()
        self._picture.value = shown(progress_picture(rows))
        self._says.value = said(f"{before} {summary(rows)}".strip())
        self._sure.disabled = True

    def ask(self) -> None:
        """Say what is about to happen."""
        self._sure.disabled = False
        self._says.value = said(
            "All that is noted of lessons, quizzes and tasks will be forgotten. Your notebooks and "
            "answers stay. Press `Yes, forget everything`, or `Read again` to keep it."
        )

    def reset(self) -> None:
        """Forget, and draw what is left."""
        self.look("Forgotten." if self.forget() else "That could not be done here.")
