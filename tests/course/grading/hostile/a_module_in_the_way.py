# ruff: noqa
"""Leaves modules in the folder that Python would import before its own."""

# %% ps1-q1-answer
import os
import sys

for name in ("json", "random", "struct", "sitecustomize", "usercustomize", "virtlab"):
    with open(name + ".py", "w") as file:
        file.write("print('LEAKED: a module')\n")
os.environ["PYTHONPATH"] = os.getcwd()
os.environ["PYTHONSTARTUP"] = os.path.abspath("sitecustomize.py")
sys.path.insert(0, os.getcwd())


def who_answers(mappings, address, size):
    return None
