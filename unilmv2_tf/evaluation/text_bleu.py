"""BLEU of generated texts, by sacrebleu."""

import re

from unilmv2_tf.evaluation.text import check_texts

_WORDS = re.compile(r"[^\W_]+|[^\w\s]|_")


def split_words(text):
    """The words and the punctuation marks of a text, lowercased.

    Args:
        text: string.

    Returns:
        A list of strings: letters and digits in a row, or one mark.

    Example:

    >>> split_words("Don't use num_units.")
    ['don', "'", 't', 'use', 'num', '_', 'units', '.']
    """
    return _WORDS.findall(text.lower())


def bleu(predictions, references, tokenize="words"):
    """BLEU with n-grams up to 4 of all texts together.

    WordPieces that were joined have spaces around their punctuation
    (`don ' t`), references don't. So both are cut into words and single marks,
    lowercased, before they are compared.

    Args:
        predictions: list of strings.
        references: list of as many strings. Instead of a string, a list of
            strings: an n-gram counts if any of them has it.
        tokenize: string. `"words"`, as above, or a tokenizer of sacrebleu,
            such as `"13a"`, that of published translations; case counts
            then. Defaults to `"words"`.

    Returns:
        A float between 0 and 1. The signature that goes with it:
        `bleu_signature`.

    Raises:
        ValueError: if there are no predictions, not as many as references, or
            the tokenizer is unknown.

    Example:

    >>> round(bleu(["the cat sat on a mat ."], ["The cat sat on the mat."]), 3)
    0.489

    Reference:
        Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine
        Translation" (2002); Post, "A Call for Clarity in Reporting BLEU
        Scores" (2018).
    """
    predictions, references = check_texts(predictions, references)
    if tokenize == "words":
        predictions = [" ".join(split_words(text)) for text in predictions]
        references = [
            [" ".join(split_words(text)) for text in accepted]
            for accepted in references
        ]
    scorer = _scorer(tokenize)
    most = max(map(len, references))
    # sacrebleu takes a list for the first references, one for the second...
    by_number = [
        [accepted[i] if i < len(accepted) else None for accepted in references]
        for i in range(most)
    ]
    return scorer.corpus_score(predictions, by_number).score / 100


def bleu_signature(tokenize="words", num_references=1):
    """What sacrebleu writes beside a score, so that others can compute it.

    Args:
        tokenize: string, see `bleu`. Defaults to `"words"`.
        num_references: int, of each prediction at most. Defaults to `1`.

    Returns:
        A string.

    Example:

    >>> bleu_signature()
    'nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|version:...'
    """
    scorer = _scorer(tokenize)
    scorer.corpus_score(["a"], [["a"]] * num_references)
    return scorer.get_signature().format()


def _scorer(tokenize):
    # Imported here, as all libraries of scores are.
    from sacrebleu.metrics import BLEU

    known = ["words", *(name for name in BLEU.TOKENIZERS if name != "none")]
    if tokenize not in known:
        raise ValueError(
            f"`tokenize` must be one of {', '.join(known)}. Received: "
            f"tokenize={tokenize!r}"
        )
    # Told, sacrebleu does not warn that the texts look tokenized.
    return BLEU(
        tokenize="none" if tokenize == "words" else tokenize, force=True
    )
