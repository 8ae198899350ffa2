"""`unilmv2 vocabulary`: a WordPiece vocabulary of text."""

from unilmv2_tf.datasets import load_documents
from unilmv2_tf.preprocessing.vocabulary import learn_vocabulary
from unilmv2_tf.preprocessing.vocabulary import save_vocabulary


def vocabulary(
    sources: list[str] | str,
    output: str = "vocabulary.txt",
    vocabulary_size: int = 8000,
    lowercase: bool = True,
):
    """Learns a WordPiece vocabulary from text.

    Args:
        sources: Text to learn from, one source or a list: files (.txt,
            .jsonl, .tsv, globs), tfds:NAME/CONFIG:SPLIT, or docstrings: for
            the embedded corpus.
        output: The file to write, one token a line.
        vocabulary_size: The maximum number of tokens.
        lowercase: Whether to lowercase the text.
    """
    tokens = learn_vocabulary(
        load_documents(sources),
        vocabulary_size=vocabulary_size,
        lowercase=lowercase,
    )
    save_vocabulary(tokens, output)
    print(f"{len(tokens):,} tokens written to {output}")
