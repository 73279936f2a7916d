"""Grading: other people's answers, judged here and run elsewhere.

    submissions/ --> grader ---------------- checks, hidden cases, machines, what is right
                       |  judge  <== one pair of pipes ==>  child  --> the student's cells
                       v
                     result --> tables, feedback, report, gradebook

The idea: student code never runs in the grader's process. A case calls an answer as in a notebook,
and the call goes over a pipe; machines stay on this side, and their verbs are calls back. What a
child says is data, compared by exact type.

In reading order:

    values, mirror    what goes over the pipe, and what both ends keep alike
    offers, faults    what of a machine can be asked for, and how it says no
    channel           frames, and who speaks when
    child, stand_ins  the student's side
    judge, remote     the grader's side, and `Student`: a submission as an `Answer`
    undefined         which broken cell should have defined a name
    sandbox           what holds a child: limits, confine, bubblewrap, process
    submissions, course_files, grader, result      one submission
    places, pool, worker, cluster, journal, lock, stopping, tables      a class of them
    hidden, pages, style, feedback, report, gradebook   what only an instructor has, and gives

The rule that keeps it simple: an arrow of trust points one way. Nothing that a child can send names
a function, a module or a file, and all it can do to a grade is to be right or wrong.
"""
