"""The modules of the course that a child has: what a notebook may import, and what runs here.

`FILES` is all of the course that a child may see. The finder that refuses other modules is a
courtesy: the same error with and without a sandbox that hides them. An answer can take it away.
"""

from __future__ import annotations

import os
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType

FILES = (
    "__init__.py",
    "answers.py",
    *(f"given/{name}.py" for name in (
        "__init__", "parts", "random_numbers", "rings", "scalar_walk", "world",
    )),
    *(f"grading/{name}.py" for name in (
        "__init__", "cells", "channel", "child", "faults", "kinds", "mirror", "modules",
        "stand_ins", "value_classes", "values",
    )),
)  # fmt: skip
"""Files of `virtlab/course` that a child may see."""


class Report:
    """What a cell's own `check` gives here: nothing is checked until all cells have run."""

    ok = True
    failure = None
    passed = ()


def checks() -> ModuleType:
    """A module in place of `virtlab.course.checks`: a notebook's set-up cell imports it."""
    module = ModuleType("virtlab.course.checks", "Checks are made by whoever calls the answers.")

    def check(*arguments: object, **options: object) -> Report:
        """Nothing: the judge makes the check himself."""
        return Report()

    def hint(*arguments: object, **options: object) -> str:
        """Nothing."""
        return ""

    module.__dict__.update(check=check, hint=hint)
    return module


class Course:
    """A finder that has `FILES` of the course's modules, and refuses the others."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Where a module is; None if it is not the course's; or the error of one that is not there.

        By its file alone: a sandbox need not let anybody list the folder.
        """
        if not name.startswith("virtlab.course."):
            return None
        parts = name.split(".")[2:]
        for last in ((f"{parts[-1]}.py",), (parts[-1], "__init__.py")):
            file = "/".join((*parts[:-1], *last))
            if file in FILES:
                place = os.path.join(os.path.dirname(os.path.dirname(__file__)), file)
                within = [os.path.dirname(place)] if len(last) > 1 else None
                return spec_from_file_location(name, place, submodule_search_locations=within)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
