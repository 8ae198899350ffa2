"""METEOR of generated texts, by NLTK."""

from unilmv2_tf.evaluation.text import check_texts
from unilmv2_tf.evaluation.text_bleu import split_words


class _NoSynonyms:
    """A thesaurus without entries: words match as they are, or by stem."""

    def synsets(self, word):
        del word
        return []


def has_wordnet():
    """Whether NLTK finds the files of WordNet on this machine.

    Returns:
        A bool.
    """
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    # Not there, or not all of it.
    except (LookupError, OSError):
        return False
    return True


def meteor(predictions, references):
    """Mean METEOR: words, stems and synonyms, with WordNet.

    As NLTK has it, which looks synonyms up by the stem of a word: `auto`
    matches `car`, `automobile`, whose stem is no word, does not. The scores
    of Banerjee and Lavie's own program are others, for that reason and for its
    later parameters.

    Args:
        predictions: list of strings.
        references: list of as many strings. Instead of a string, a list of
            strings: the best score among them counts.

    Returns:
        A float between 0 and 1.

    Raises:
        ValueError: if there are no predictions, not as many as references, or
            the files of WordNet are not there.

    Reference:
        Banerjee and Lavie, "METEOR: An Automatic Metric for MT Evaluation with
        Improved Correlation with Human Judgments" (2005), with NLTK's
        parameters 0.9, 3 and 0.5.
    """
    from nltk.corpus import wordnet

    if not has_wordnet():
        raise ValueError(
            "METEOR needs the files of WordNet, which NLTK does not find. Get "
            "them with: python -m nltk.downloader wordnet (a download), or "
            "choose meteor_exact_stem, which does without"
        )
    return _mean(predictions, references, wordnet)


def meteor_exact_stem(predictions, references):
    """What METEOR is without synonyms: words and stems only.

    It needs no files, is lower than METEOR where a prediction says the same in
    other words, and is not to be compared with it.

    Args:
        predictions: list of strings.
        references: list of as many strings. Instead of a string, a list of
            strings: the best score among them counts.

    Returns:
        A float between 0 and 1.

    Raises:
        ValueError: if there are no predictions, or not as many as references.

    Example:

    >>> round(meteor_exact_stem(["the cats sat"], ["The cat sat."]), 3)
    0.755
    """
    return _mean(predictions, references, _NoSynonyms())


def _mean(predictions, references, thesaurus):
    # Imported here, as all libraries of scores are.
    from nltk.translate.meteor_score import meteor_score

    predictions, references = check_texts(predictions, references)
    scores = [
        meteor_score(
            [split_words(text) for text in accepted],
            split_words(prediction),
            wordnet=thesaurus,
        )
        for prediction, accepted in zip(predictions, references)
    ]
    return sum(scores) / len(scores)
