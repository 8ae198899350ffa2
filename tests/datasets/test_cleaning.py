from hypothesis import given
from hypothesis import strategies as st

from unilmv2_tf.datasets.corpus.cleaning import clean_document
from unilmv2_tf.datasets.corpus.cleaning import clean_inline
from unilmv2_tf.datasets.corpus.cleaning import is_prose
from unilmv2_tf.datasets.corpus.cleaning import normalize

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
