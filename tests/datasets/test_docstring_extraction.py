import sys

import numpy as np
import pytest

from unilmv2_tf.datasets import docstring_extraction


def test_names_and_docstrings_of_nested_definitions():
    source = '''"""Of the module."""
class A:
    """Of A."""
    async def f(self):
        """Of f."""
        def g():
            """Of g."""
if True:
    def h():
        "Of h."
try:
    pass
except ValueError:
    class B:
        """Of B."""
x = "no docstring"
'''
    assert docstring_extraction.docstrings_of_source(source, "m") == [
        ("m", "Of the module."),
        ("m.A", "Of A."),
        ("m.A.f", "Of f."),
        ("m.A.f.g", "Of g."),
        ("m.h", "Of h."),
        ("m.B", "Of B."),
    ]


def test_documentation_added_by_calls():
    source = """
add_newdoc('numpy', 'dot', '''Dot product.''')
docs.add_newdoc('numpy', 'ndarray', ('T', '''Transpose.'''))
add_newdoc('numpy', 'ndarray', [('a', '''Of a.'''), ('b', '''Of b.''')])
add_newdoc('numpy', computed())
"""
    assert docstring_extraction.docstrings_of_source(source) == [
        ("numpy.dot", "Dot product."),
        ("numpy.ndarray.T", "Transpose."),
        ("numpy.ndarray.a", "Of a."),
        ("numpy.ndarray.b", "Of b."),
    ]


def test_sources_that_do_not_parse_are_passed_over():
    assert docstring_extraction.docstrings_of_source("print 'python 2'") == []
    assert docstring_extraction.docstrings_of_source("x = '\0'") == []


@pytest.mark.slow
def test_a_docstring_read_from_the_source_is_the_one_at_run_time():
    documents = docstring_extraction.extract(["numpy"])
    by_name = {document["name"]: document for document in documents}
    document = by_name["numpy.lib._function_base_impl.trapezoid"]
    names = [name for name, _ in document["arguments"]]
    assert set(names) <= {"y", "x", "dx", "axis"} and "axis" in names
    first_line = np.trapezoid.__doc__.strip().splitlines()[0]
    assert document["text"].startswith(first_line.replace("`", ""))


def test_lone_surrogates_become_writable(tmp_path, monkeypatch):
    path = tmp_path / "odd.py"
    path.write_text('"""One two \\ud800 three four five."""')
    monkeypatch.setattr(
        docstring_extraction, "package_root", lambda name: str(tmp_path)
    )
    (document,) = docstring_extraction.documents_of_file("numpy", str(path))
    document["text"].encode("utf-8")


def test_an_absent_package_gives_no_documents(monkeypatch):
    def find_spec(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(
        docstring_extraction.importlib.util, "find_spec", find_spec
    )
    assert docstring_extraction.extract(["scipy"]) == []
    assert "scipy" not in docstring_extraction.package_versions()


def test_what_is_read_is_not_imported():
    sys.modules.pop("pydoc_data.topics", None)
    documents = docstring_extraction.extract(["pydoc_data"])
    assert len(documents) > 50
    assert "pydoc_data.topics" not in sys.modules
