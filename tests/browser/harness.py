"""Take one lesson in a real browser: run it, press everything, and report what a person would see.

``take(page, name)`` returns the list of problems, empty for a good lesson. A `Desk` keeps one page
of JupyterLab, in which the lessons are opened one after the other: to load the page takes longer
than to open a lesson. The questions asked inside the page are in ``page.js``,
the presses in ``hands.js``, what every reader is owed in ``access.js``. There is no waiting
for a time: each step ends when the kernel is done with every request, and every wait has a bound.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import playwright.sync_api

SCRIPTS = [Path(__file__).with_name(f"{name}.js") for name in ("page", "hands", "access")]
CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OPEN_SECONDS, RUN_SECONDS, PRESS_SECONDS, STEP_SECONDS = 60, 120, 240, 20
MOST_PRESSES = 300
IMPACTS = ("serious", "critical")  # of what axe finds; the others are advice
SLOW = os.environ.get("VIRTLAB_SLOW") == "1"
WIDTH, TALLEST = 1400, 4000  # of a window; a longer lesson becomes several pictures

# What the page may say, with the reason. JupyterLab asks for a subshell when the first comm of a
# kind opens, and nothing waits for the answer. A kernel that is ended before it answers leaves a
# promise that is rejected, and that nobody caught (4.6, `CommHandler._maybeStartSubshell`).
ALLOWED = re.compile(
    r"Canceled future for (create|delete)_subshell_request message before replies were done"
)


class Lab(NamedTuple):
    """A running JupyterLab: its address, its token, and the folder it shows."""

    address: str
    token: str
    folder: Path


class Ears:
    """What a page does that nobody should see: console errors, exceptions, requests outside."""

    def __init__(self, page: playwright.sync_api.Page) -> None:
        self.heard: list[str] = []
        self.page = page
        page.on("console", self.console)
        page.on("pageerror", self.error)
        page.on("request", self.request)

    def close(self) -> None:
        """Hear no more."""
        self.page.remove_listener("console", self.console)
        self.page.remove_listener("pageerror", self.error)
        self.page.remove_listener("request", self.request)

    def error(self, error: playwright.sync_api.Error) -> None:
        """An exception that no script of the page caught."""
        if not ALLOWED.search(str(error)):
            self.heard.append(f"exception in the page: {error}")

    def console(self, message: playwright.sync_api.ConsoleMessage) -> None:
        """Keep errors only."""
        if message.type == "error" and not ALLOWED.search(message.text):
            self.heard.append(f"error on the console: {message.text[:300]}")

    def request(self, request: playwright.sync_api.Request) -> None:
        """The course works without a network: nothing may be asked of another machine."""
        where = urlsplit(request.url)
        if where.scheme in ("http", "https", "ws", "wss") and where.hostname != "127.0.0.1":
            self.heard.append(f"request to another machine: {request.url[:200]}")


class Desk:
    """One page of JupyterLab for all lessons; a new one after a lesson that cannot be closed."""

    def __init__(self, context: playwright.sync_api.BrowserContext, lab: Lab) -> None:
        self.context, self.lab = context, lab
        self.current: playwright.sync_api.Page | None = None

    def page(self) -> playwright.sync_api.Page:
        """The page, with no lesson open."""
        if self.current is None:
            self.current = self.context.new_page()
            self.load(self.current)
        return self.current

    def load(self, page: playwright.sync_api.Page) -> None:
        """JupyterLab itself, which does nothing either that nobody should see."""
        wait = 1000 * OPEN_SECONDS
        with contextlib.closing(Ears(page)) as ears:
            for script in (*SCRIPTS, axe()):
                page.add_init_script(path=script)
            page.goto(f"{self.lab.address}/lab?token={self.lab.token}&reset", timeout=wait)
            page.wait_for_function("() => virtlab.loaded()", timeout=wait)
            ask(page, "started()", OPEN_SECONDS)
        assert ears.heard == []

    def clear(self) -> None:
        """Close the lesson and end its kernel."""
        try:
            ask(self.page(), "close()", OPEN_SECONDS)
        except playwright.sync_api.Error:
            self.close()

    def close(self) -> None:
        """Close the page."""
        if self.current:
            self.current.close()
            self.current = None


def ask(page: playwright.sync_api.Page, call: str, seconds: float | None = None):
    """Await one function of page.js, but not for ever."""
    name = call.partition("(")[0]
    return page.evaluate(
        f"() => virtlab.within({seconds or STEP_SECONDS}, {name!r}, "
        f"Promise.resolve(virtlab.{call}))"
    )


def axe() -> Path:
    """The script of axe-core, which comes with a Python package: nothing is fetched."""
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None, "axe-playwright-python is missing: make test installs it"
    return Path(found.origin).with_name("axe.min.js")


def audit(page: playwright.sync_api.Page) -> list[str]:
    """What keeps people out who use a screen reader or a keyboard, by axe-core."""
    return ask(page, f"audit({json.dumps(IMPACTS)})", RUN_SECONDS)


def press_everything(page: playwright.sync_api.Page) -> tuple[list[str], int]:
    """Press every control once, also those that only appear or become enabled on the way.

    The problems found, and how many controls were pressed. With ``VIRTLAB_SLOW=1`` more options of
    each list are taken.
    """
    few = json.dumps(not SLOW)
    page.set_viewport_size({"width": WIDTH, "height": 500})
    seen = ask(page, f"pressAll({STEP_SECONDS}, {MOST_PRESSES}, {few})", PRESS_SECONDS)
    return seen["said"], seen["pressed"]


def first_line(error: Exception) -> str:
    """The part of an error that says what happened."""
    return str(error).strip().partition("\n")[0]


def photograph(page: playwright.sync_api.Page, folder: Path, name: str) -> list[Path]:
    """Pictures of the whole lesson, from top to bottom."""
    folder.mkdir(parents=True, exist_ok=True)
    height = ask(page, "height()")
    window = min(height + 150, TALLEST)  # 150: the menus and bars around the notebook
    page.set_viewport_size({"width": WIDTH, "height": window})
    paths = []
    for part, top in enumerate(range(0, height, window - 150), 1):
        ask(page, f"scroll({top})")
        ask(page, "settle()")
        several = f"-{part}" if height > window else ""
        paths.append(folder / f"{name}{several}.png")
        page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)").screenshot(
            path=paths[-1], animations="disabled", timeout=1000 * OPEN_SECONDS
        )
    page.set_viewport_size({"width": WIDTH, "height": 1000})
    return paths


def take(
    page: playwright.sync_api.Page, path: str, pictures: Path | None = None
) -> tuple[list[str], int]:
    """Open, run, look, press, look again: the problems found, and how many controls were pressed.

    A lesson with problems leaves pictures of its end in `pictures`. With ``VIRTLAB_SLOW=1`` each
    lesson does, and of its beginning too. The lesson stays open.
    """
    with contextlib.closing(Ears(page)) as ears:
        try:
            problems, pressed = look(page, path, pictures if SLOW else None)
        except playwright.sync_api.Error as error:
            problems, pressed = [first_line(error)], 0
        problems += ears.heard
    if pictures and (SLOW or problems):
        problems += last_pictures(page, pictures, f"{Path(path).stem}-after")
    return problems, pressed


def last_pictures(page: playwright.sync_api.Page, folder: Path, name: str) -> list[str]:
    """Take pictures of the end; what went wrong is a problem of its own."""
    try:
        photograph(page, folder, name)
    except playwright.sync_api.Error as error:
        return [f"no pictures: {first_line(error)}"]
    return []


def look(page: playwright.sync_api.Page, path: str, pictures: Path | None) -> tuple[list[str], int]:
    """The steps of `take`, of which each may fail as a whole."""
    ask(page, f"open({json.dumps(path)})", OPEN_SECONDS)
    ask(page, "run()", RUN_SECONDS)
    found = ask(page, "problems()") + ask(page, "complaints()")
    if pictures:
        photograph(page, pictures, Path(path).stem)
    more, pressed = press_everything(page)
    found += more + audit(page)
    later = ask(page, "problems()")
    found += [f"after pressing: {line}" for line in later if line not in found]
    return found, pressed
