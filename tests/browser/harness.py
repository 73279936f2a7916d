"""Take one lesson in a real browser: run it, press everything, and report what a person would see.

``take(page, lab, name)`` returns the list of problems, empty for a good lesson. The questions asked
inside the page are in ``page.js``. There is no waiting for a time: each step ends when the kernel
has answered a request that was sent after it, and every wait has a bound.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import playwright.sync_api

SCRIPT = Path(__file__).with_name("page.js")
CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OPEN_SECONDS, RUN_SECONDS, STEP_SECONDS = 60, 120, 20
MOST_PRESSES = 300
SLOW = os.environ.get("VIRTLAB_SLOW") == "1"
WIDTH, TALLEST = 1400, 4000  # of a window; a longer lesson becomes several pictures

# Errors on the console that are not ours. Each needs a reason; none is known.
ALLOWED_ON_CONSOLE: tuple[re.Pattern[str], ...] = ()


class Lab(NamedTuple):
    """A running JupyterLab: its address, its token, and the folder it shows."""

    address: str
    token: str
    folder: Path


class Ears:
    """What a page does that nobody should see: console errors, exceptions, requests outside."""

    def __init__(self, page: playwright.sync_api.Page) -> None:
        self.heard: list[str] = []
        page.on("console", self.console)
        page.on("pageerror", lambda error: self.heard.append(f"exception in the page: {error}"))
        page.on("request", self.request)

    def console(self, message: playwright.sync_api.ConsoleMessage) -> None:
        """Keep errors only."""
        known = any(pattern.search(message.text) for pattern in ALLOWED_ON_CONSOLE)
        if message.type == "error" and not known:
            self.heard.append(f"error on the console: {message.text[:300]}")

    def request(self, request: playwright.sync_api.Request) -> None:
        """The course works without a network: nothing may be asked of another machine."""
        where = urlsplit(request.url)
        if where.scheme in ("http", "https", "ws", "wss") and where.hostname != "127.0.0.1":
            self.heard.append(f"request to another machine: {request.url[:200]}")


def ask(page: playwright.sync_api.Page, call: str, seconds: float | None = None):
    """Await one function of page.js, but not for ever."""
    name = call.partition("(")[0]
    return page.evaluate(
        f"() => virtlab.within({seconds or STEP_SECONDS}, {name!r}, "
        f"Promise.resolve(virtlab.{call}))"
    )


def press(page: playwright.sync_api.Page, control: dict) -> None:
    """Use one control as a person would."""
    node = page.locator(f'[data-virtlab-control="{css(control["key"])}"]').first
    wait = 1000 * STEP_SECONDS
    match control["kind"]:
        case "slider":
            for key in ("End", "ArrowLeft", "Home", "ArrowRight"):
                node.press(key, timeout=wait)
        case "select":
            for index in choices(control["options"]):
                node.select_option(index=index, timeout=wait)
                ask(page, "settle()")
        case "number":
            for key in ("ArrowUp", "ArrowDown", "ArrowUp", "Enter"):
                node.press(key, timeout=wait)
        case "text":
            before = node.input_value(timeout=wait)
            for text in ("16", "no such thing", before):
                node.fill(text, timeout=wait)
                node.press("Enter", timeout=wait)
                ask(page, "settle()")
        case _:
            node.click(timeout=wait)


def choices(options: int) -> list[int]:
    """The options of a list to take: the second, the middle, the last, and back to the first.

    With ``VIRTLAB_SLOW=1`` the first dozen too. The widget's own tests look at every option.
    """
    few = {1, options // 2, options - 1} | (set(range(1, 12)) if SLOW else set())
    return [*sorted(index for index in few if 0 < index < options), 0]


def css(text: str) -> str:
    """Text inside the quotes of a CSS attribute selector."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\a ")


def press_everything(page: playwright.sync_api.Page) -> list[str]:
    """Press every control once, also those that only appear or become enabled on the way."""
    found, done = [], set()
    for _ in range(MOST_PRESSES):
        controls = ask(page, "controls()")
        todo = [control for control in controls if control["key"] not in done]
        ready = [control for control in todo if not control["disabled"]]
        if not ready:
            return found + [f"{where(control)}: never enabled" for control in todo]
        control = ready[0]
        done.add(control["key"])
        if not control["name"]:
            found.append(f"{where(control)}: a control without a name")
        try:
            press(page, control)
            ask(page, "settle()")
        except playwright.sync_api.Error as error:
            return [*found, f"{where(control)}: cannot be pressed: {first_line(error)}"]
        found += [f"{where(control)}: {line}" for line in ask(page, "complaints()")]
    return [*found, f"more than {MOST_PRESSES} controls to press"]


def where(control: dict) -> str:
    """A control as a person would point at it."""
    return f"cell {control['cell']}: {control['kind']} {control['name']!r}"


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
    page: playwright.sync_api.Page, lab: Lab, path: str, pictures: Path | None = None
) -> tuple[list[str], int]:
    """Open, run, look, press, look again: the problems found, and how many controls there were."""
    ears = Ears(page)
    page.add_init_script(path=SCRIPT)
    found: list[str] = []
    pressed = 0
    try:
        page.goto(
            f"{lab.address}/lab/tree/{path}?token={lab.token}&reset", timeout=1000 * OPEN_SECONDS
        )
        page.wait_for_function("() => virtlab.opened()", timeout=1000 * OPEN_SECONDS)
        ask(page, "open()", OPEN_SECONDS)
        ask(page, "run()", RUN_SECONDS)
        found += ask(page, "problems()") + ask(page, "complaints()")
        if pictures:
            photograph(page, pictures, Path(path).stem)
        found += press_everything(page)
        pressed = len(ask(page, "controls()"))
        later = ask(page, "problems()")
        found += [f"after pressing: {line}" for line in later if line not in found]
        if pictures:
            photograph(page, pictures, f"{Path(path).stem}-after")
    except playwright.sync_api.Error as error:
        found.append(first_line(error))
    return found + ears.heard, pressed
