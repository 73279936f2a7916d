"""What a notebook of the problem sets may import beside the library.

    rings            the records of problem set 4: a split queue as its two ends know it
    scalar_walk      many chains, one descriptor at a time (ps4.q8 is measured against it)
    random_numbers   the generator of problem set 5
    world            files, memory and constants round a back-end of problem set 7
    parts            answers of problem sets 4 and 5 from the library, for who has none

The rule that keeps it simple: nothing here knows what is right. A judge imports from here, and
never the other way: where answers are graded, this folder is all that they can see of the course.
"""
