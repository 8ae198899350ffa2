"""Shows doctests of docstrings as code in the API reference."""

import re

import griffe


class DoctestFences(griffe.Extension):
    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"(?m)^>>> (?:.+\n?)+",
                lambda match: f"```pycon\n{match[0].rstrip()}\n```\n",
                obj.docstring.value,
            )
