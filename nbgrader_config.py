"""nbgrader's settings: `nbgrader generate_assignment ps01` in this folder makes exercises/ps01.

Cells tagged `solution` explain an answer. They are for `solutions/` alone: they are removed first.
"""

from nbconvert.preprocessors import TagRemovePreprocessor

c = get_config()  # noqa: F821  # nbgrader gives it

c.CourseDirectory.course_id = "virtlab"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
c.Execute.timeout = 60  # seconds for a cell; a check ends an endless loop by itself
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = {"solution"}
c.GenerateAssignment.preprocessors.prepend([TagRemovePreprocessor])
