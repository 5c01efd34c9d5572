"""What parsing and executing a template raise; every message is worded as Go words it."""

from wharfinger.errors import Rejected


class TemplateError(Rejected):
    """A template cannot be used."""


class TemplateSyntaxError(TemplateError):
    """The text is no template: `template: NAME:LINE: WHY`."""


class TemplateExecutionError(TemplateError):
    """The template fails with these values: `template: NAME:LINE:COLUMN: executing ...`."""


class FunctionError(Exception):
    """A function refuses its arguments; the evaluator adds where."""


class LimitExceeded(FunctionError):
    """The template wants more than it may have; the evaluator adds where."""
