from unilmv2_tf.datasets.docstring_pairs import argument_pairs_of
from unilmv2_tf.datasets.docstring_pairs import split_of
from unilmv2_tf.datasets.docstring_pairs import split_summary
from unilmv2_tf.datasets.docstring_pairs import summary_pairs_of


def document(summary, body="", arguments=()):
    text = f"{summary}\n\n{body}".strip()
    return {"text": text, "arguments": list(arguments)}


def by_split(count=400):
    """Summaries of which it is known to which split they go."""
    found = {"train": [], "validation": []}
    for number in range(count):
        summary = f"Computes the quantity number {number}."
        found[split_of(document(summary))].append(summary)
    return found


def test_the_held_out_share_is_about_one_in_twenty():
    found = by_split(20_000)
    assert 900 <= len(found["validation"]) <= 1100


def test_the_same_summary_goes_to_the_same_split_whatever_follows():
    for number in range(200):
        summary = f"Computes number {number}."
        splits = {
            split_of(document(summary)),
            split_of(document(summary, "Args:\nx: An integer.")),
            split_of(document(summary.upper().replace(" ", "  "))),
        }
        assert len(splits) == 1


def test_a_description_known_from_training_leaves_validation():
    summaries = by_split()
    documents = [
        document(summaries["train"][0], arguments=[("x", "The `first` one.")]),
        document(
            summaries["validation"][0],
            arguments=[("y", "the first one"), ("z", "The second one.")],
        ),
    ]
    assert argument_pairs_of(documents) == {
        "train": [("The `first` one.", "x")],
        "validation": [("The second one.", "z")],
    }


def test_a_description_of_two_names_makes_two_pairs_and_copies_none():
    summary = by_split()["train"][0]
    one = document(summary, arguments=[("x", "The input."), ("y", "The input")])
    pairs = argument_pairs_of([one, one])["train"]
    assert sorted(pairs) == [("The input", "y"), ("The input.", "x")]


def test_the_body_ends_at_the_first_section():
    summary = by_split()["train"][0]
    prose = "It is computed from the eigenvalues of the given matrix by hand."
    one = document(summary, f"{prose}\n\nArgs:\nx: An argument of it.")
    assert summary_pairs_of([one])["train"] == [(prose, summary)]


def test_bodies_too_short_or_that_hold_the_summary_make_no_pair():
    summary = by_split()["train"][0]
    assert summary_pairs_of([document(summary, "Short.")])["train"] == []
    repeated = f"{summary} {summary} {summary}"
    assert summary_pairs_of([document(summary, repeated)])["train"] == []


def test_a_summary_is_a_sentence_and_not_an_abbreviation():
    assert split_summary("Sums, e.g. over axis 0. The rest.") == (
        "Sums, e.g. over axis 0.",
        "The rest.",
    )
    assert split_summary("Only this") == ("Only this", "")
