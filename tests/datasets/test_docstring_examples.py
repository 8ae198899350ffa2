from unilmv2_tf.datasets import docstring_examples
from unilmv2_tf.datasets.docstring_examples import split_of
from unilmv2_tf.datasets.docstring_examples import split_summary


def argument_pairs_of(documents):
    return docstring_examples.by_split(
        documents, docstring_examples.argument_pairs_of
    )


def summary_pairs_of(documents):
    return docstring_examples.by_split(
        documents, docstring_examples.summary_pairs_of
    )


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


def function(text, *arguments):
    return {"text": text, "name": "m.Sum.add", "arguments": list(arguments)}


def test_ambiguous_arguments_are_left_out():
    same = "The values to add."
    repeated = function(
        f"Adds.\n\nArgs:\nx: {same}\ny: {same}\nz: Others.",
        ["x", same], ["y", same], ["z", "Others."],
    )  # fmt: skip
    twice = function("Adds.\n\nx: First.\n\nx: Second.", ["x", "Second."])
    elsewhere = function("First of all.\n\nx: array.", ["x", "First of all."])
    questions = [
        question
        for one in (repeated, twice, elsewhere)
        for _, question, _ in docstring_examples.argument_questions_of(one)
    ]
    assert questions == ["What is the argument z of Sum.add?"]


def test_long_passages_are_cut_at_lines_around_the_answer():
    lines = [f"a{n}: Argument number {n} of this function." for n in range(200)]
    arguments = [
        (f"a{n}", f"Argument number {n} of this function.") for n in range(200)
    ]
    records = list(
        docstring_examples.argument_questions_of(
            function("\n".join(lines), *arguments)
        )
    )
    assert len(records) == 200
    for _, _, context in records:
        kept = context.split("\n")
        first = lines.index(kept[0])
        assert lines[first : first + len(kept)] == kept
        # Eleven pieces a line, 150 in all.
        assert 10 <= len(kept) <= 18
