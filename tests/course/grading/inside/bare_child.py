"""A child without `child.main`: it runs the source that it gets, and says what that prints."""

import sys


def main():
    exec(compile(sys.stdin.read(), "<attack>", "exec"), {"__name__": "__main__"})
