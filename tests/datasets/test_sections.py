import docstring_parser
import pytest

from unilmv2_tf.datasets.corpus import packages
from unilmv2_tf.datasets.corpus.cleaning import clean_inline
from unilmv2_tf.datasets.corpus.cleaning import normalize
from unilmv2_tf.datasets.corpus.extraction import docstrings_of_source
from unilmv2_tf.datasets.corpus.sections import argument_descriptions


def test_google_style():
    found = argument_descriptions(
        """Does it.

        Args:
            units: Integer, the number of units.
            *names (str): The names
              of all layers.

              A second paragraph.
            short: no.

        Returns:
            result: This is not an argument.
        """
    )
    assert found == [
        ("units", "Integer, the number of units."),
        ("names", "The names of all layers."),
    ]


def test_numpy_style():
    found = argument_descriptions(
        """Does it.

        Parameters
        ----------
        a : array_like
            Where to search.
        b, c : int
            Belongs to two names, hence to none.
        axis : {None, int}, optional
            The axis, one of:

            - 0 or 1

        Other Parameters
        ----------------
        out
            Where to write.

        Returns
        -------
        total : ndarray
            This is not an argument.
        """
    )
    assert found == [
        ("a", "Where to search."),
        ("axis", "The axis, one of:"),
        ("out", "Where to write."),
    ]


def test_sphinx_style():
    found = argument_descriptions(
        """Does it.

        :param str name: The name of
            the thing.
        :param size: How large it is.
        :returns: This is not an argument.
        """
    )
    assert found == [
        ("name", "The name of the thing."),
        ("size", "How large it is."),
    ]


def test_a_long_description_ends_with_a_sentence():
    first = "word " * 30 + "end."
    found = argument_descriptions(
        f"Does it.\n\nArgs:\n    x: {first} {'More ' * 30}\n"
    )
    assert found == [("x", first)]


@pytest.mark.parametrize(
    ("package", "folder", "style"),
    [
        ("numpy", "linalg", docstring_parser.DocstringStyle.NUMPYDOC),
        ("keras", "layers", docstring_parser.DocstringStyle.GOOGLE),
    ],
)
def test_agrees_with_the_library_docstring_parser(package, folder, style):
    pairs, agreed = 0, 0
    for path in packages.source_files(package):
        if f"/{folder}/" not in path.replace("\\", "/"):
            continue
        with open(path, "rb") as file:
            source = file.read()
        for _, docstring in docstrings_of_source(source):
            try:
                parsed = docstring_parser.parse(docstring, style)
            except docstring_parser.ParseError:
                continue
            known = {
                parameter.arg_name.lstrip("*"): normalize(
                    clean_inline(parameter.description or "")
                )
                for parameter in parsed.params
            }
            for name, description in argument_descriptions(docstring):
                pairs += 1
                start = " ".join(normalize(description).split()[:3])
                agreed += known.get(name, "").startswith(start)
    assert pairs > 50
    assert agreed >= 0.9 * pairs, (agreed, pairs)
