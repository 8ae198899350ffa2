import docstring_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unilmv2_tf.datasets.docstring_cleaning import argument_descriptions
from unilmv2_tf.datasets.docstring_cleaning import clean_document
from unilmv2_tf.datasets.docstring_cleaning import clean_inline
from unilmv2_tf.datasets.docstring_cleaning import is_prose
from unilmv2_tf.datasets.docstring_cleaning import normalize
from unilmv2_tf.datasets.docstring_extraction import docstrings_of_source
from unilmv2_tf.datasets.docstring_extraction import source_files

DOCSTRING = """Sums :class:`~numpy.ndarray` elements over
    a *given* axis [1]_.

    .. versionadded:: 1.7

    .. code-block:: python

        import secret

    Parameters
    ----------
    a, b : array_like
        Elements to ``sum``.

    =====  =====
    left   right
    =====  =====

    ```python
    hidden(1)

    hidden(2)
    ```

    It stops here::

        literal = "gone"

    - one item
      that is wrapped
    - another, see [the guide](https://example.org/guide)

    Examples
    --------
    >>> np.sum([0.5, 1.5])
    2.0
    """
CLEANED = """Sums numpy.ndarray elements over a given axis.

1.7

Parameters
a, b : array_like Elements to sum.

left right

It stops here:

- one item that is wrapped
- another, see the guide"""


def test_every_kind_of_markup_in_one_worked_example():
    expected = CLEANED.replace("1.7\n\n", "")
    assert clean_document(DOCSTRING) == expected


def test_code_is_dropped_and_prose_between_code_kept():
    text = "Opens.\n\n>>> f()\n1\n\nThen closes it.\n\n>>> g()\n2"
    assert clean_document(text) == "Opens.\n\nThen closes it."


def test_indented_code_after_a_plain_colon_is_dropped():
    text = "For example:\n\n    x = f(a[0], b['k'])\n    y += {1: x}\n"
    assert clean_document(text) == "For example:"


def test_an_unclosed_fence_costs_its_line_only():
    assert clean_document("One.\n\n```\n\nTwo is kept.") == (
        "One.\n\nTwo is kept."
    )


def test_placeholders_of_templates_go():
    assert clean_inline("Plot %(Line2D)s with ${color}.") == "Plot with ."


def test_keyword_arguments_keep_their_stars():
    assert clean_inline("Pass *args and **kwargs on.") == (
        "Pass *args and **kwargs on."
    )


@given(st.text(max_size=200))
def test_cleaning_never_fails_and_leaves_single_spaces(text):
    cleaned = clean_document(text)
    assert cleaned == cleaned.strip()
    for line in cleaned.split("\n"):
        assert line == " ".join(line.split())


@given(st.text(max_size=80))
def test_normalizing_twice_changes_nothing(text):
    once = normalize(text)
    assert normalize(once) == once
    assert all(word.isalnum() for word in once.split())


@given(st.text(max_size=80))
def test_prose_by_counting_letters_one_by_one(text):
    letters = sum(letter.isalpha() or letter == " " for letter in text)
    # `\w` knows a few letters that `isalpha` does not, and the reverse.
    if text.isascii():
        assert is_prose(text) == (bool(text) and letters >= 0.7 * len(text))


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
    for path in source_files(package):
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
