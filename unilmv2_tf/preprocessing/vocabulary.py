"""WordPiece vocabularies: learned from text, written, read and checked."""

import codecs
import collections
import itertools
import json
import os
import warnings

from unilmv2_tf.filesystem import write_text
from unilmv2_tf.preprocessing.text_cleaning import MAX_WORD_CHARACTERS
from unilmv2_tf.preprocessing.text_cleaning import clean_words
from unilmv2_tf.preprocessing.text_cleaning import plain_text

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# Pairs of pieces that occur less often are not merged.
_MIN_FREQUENCY = 2
# The share of the text's characters that the vocabulary covers if its size
# allows it, and the share below which it is refused.
_WANTED_COVERAGE = 0.99999
_LEAST_COVERAGE = 0.99
# The private use planes have a code point for each symbol of the alphabet.
_FIRST_CODE = 0xF0000
_CODES = 0x1FFFE


def learn_vocabulary(
    documents,
    vocabulary_size: int = 8000,
    lowercase: bool = True,
    strip_accents: bool | None = None,
) -> list[str]:
    """Learns a WordPiece vocabulary for `UniLMv2Tokenizer`.

    Words are normalized and split as the tokenizer does it; the library
    `tokenizers` learns byte-pair merges. The same text gives the same
    vocabulary in every process.

    Args:
        documents: A `tf.data.Dataset` of scalar strings or of dictionaries of
            them (all keys are used), or an iterable of strings.
        vocabulary_size: int. The number of tokens, with the five special ones.
            The result is smaller if the text has fewer pieces that occur twice.
            Defaults to `8000`.
        lowercase, strip_accents: See `UniLMv2Tokenizer`.

    Returns:
        A list of distinct strings: the special tokens, the characters of the
        text (except the rarest, one in 100,000 in total), then pieces in the
        order in which they were learned.

    Raises:
        ValueError: if there is no text, or `vocabulary_size` is too small for
            its characters.

    Example:

    >>> learn_vocabulary(["low lower", "low lowest"], vocabulary_size=16)
    ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'l', '##e', '##o',
     '##r', '##s', '##t', '##w', 'lo', 'low', 'lowe']
    """
    if vocabulary_size <= len(SPECIAL_TOKENS):
        raise ValueError(
            "`vocabulary_size` must leave room beside the "
            f"{len(SPECIAL_TOKENS)} special tokens; 8000 is a common choice "
            f"for a few million words. Received: {vocabulary_size}"
        )
    if strip_accents is None:
        strip_accents = lowercase
    words = _count_words(documents, lowercase, strip_accents)
    if not words:
        raise ValueError(
            "`documents` must hold text to learn a vocabulary from. Received: "
            "no word at all"
        )
    alphabet = _choose_alphabet(words, vocabulary_size - len(SPECIAL_TOKENS))
    pieces = _learn_pieces(words, alphabet, vocabulary_size)
    return [*SPECIAL_TOKENS, *pieces]


def save_vocabulary(vocabulary, path):
    """Writes a vocabulary to a file atomically, one token a line.

    Args:
        vocabulary: list of strings. Checked as in `load_vocabulary`.
        path: string or path. Its folder is created if it doesn't exist.

    Raises:
        ValueError: if the vocabulary is not valid.
    """
    vocabulary = list(vocabulary)
    check_vocabulary(vocabulary)
    write_text(path, "".join(token + "\n" for token in vocabulary))


def load_vocabulary(path) -> list[str]:
    """Reads a vocabulary, one token a line; the id of a token is its line.

    White space is kept, as a token or at its end, and so are empty lines, which
    are tokens that no text has. A warning names a token in two lines: text gets
    the last one's id.

    Args:
        path: string or path.

    Returns:
        A list of strings, in the order of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is JSON or not UTF-8, or lacks a special token.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"No vocabulary at {path}. Learn one with the command "
            "`unilmv2 vocabulary`, or take the vocab.txt of a checkpoint"
        )
    vocabulary = []
    with open(path, "rb") as file:
        content = file.read().removeprefix(codecs.BOM_UTF8)
    # Other separators, such as U+2028, are tokens of some vocabularies.
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), 1):
        try:
            vocabulary.append(line.decode("utf-8").rstrip("\r"))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}:{number}: not valid UTF-8: byte {error.start + 1} of "
                f"the line is 0x{line[error.start]:02x}"
            ) from None
    if content.lstrip()[:1] in (b"{", b"[") and _is_json(content):
        raise ValueError(
            f"{path} is JSON, and a vocabulary is text with one token a line. "
            "If it holds ids by token, write the tokens in the order of their "
            "ids; if it is a tokenizer.json, convert the checkpoint's folder "
            "that has it under this name"
        )
    check_vocabulary(vocabulary, path)
    return vocabulary


def _is_json(content):
    try:
        return isinstance(json.loads(content), dict | list)
    except ValueError:
        return False


def check_vocabulary(vocabulary, name="`vocabulary`"):
    """Raises for what is no vocabulary; warns of tokens that occur twice."""
    last, twice = {}, []
    for number, token in enumerate(vocabulary, start=1):
        if not isinstance(token, str):
            raise ValueError(
                f"{name}: tokens must be strings, token {number} is of type "
                f"{type(token).__name__}"
            )
        if "\n" in token or "\r" in token:
            raise ValueError(
                f"{name}: a token must not hold a line break. Received: "
                f"{token!r} in line {number}. Vocabularies have one token a "
                "line, which ends in \\n or \\r\\n"
            )
        if token and token in last:
            twice.append((token, last[token], number))
        last[token] = number
    missing = [token for token in SPECIAL_TOKENS if token not in last]
    if missing:
        raise ValueError(
            f"{name}: the special token{'s' if len(missing) > 1 else ''} "
            f"{', '.join(missing)} must be in a vocabulary. Is this a "
            "WordPiece vocabulary, as BERT's vocab.txt?"
        )
    if twice:
        token, first, second = twice[0]
        more = f", and {len(twice) - 1} more" if len(twice) > 1 else ""
        warnings.warn(
            f"{name} holds {token!r} in lines {first} and {second}{more}: text "
            "gets the id of the last line.",
            stacklevel=3,
        )


def _count_words(documents, lowercase, strip_accents):
    table = clean_words(lowercase, strip_accents, True)
    counts = collections.Counter()
    for text in _texts(documents):
        counts.update(plain_text(text).translate(table).split())
    # Longer words are unknown to the tokenizer.
    return {
        word: count
        for word, count in counts.items()
        if len(word) <= MAX_WORD_CHARACTERS
    }


def _texts(documents):
    # A dataset has this method; TensorFlow need not be imported to know.
    if hasattr(documents, "as_numpy_iterator"):
        for record in documents.as_numpy_iterator():
            texts = record.values() if isinstance(record, dict) else [record]
            yield from (text.decode("utf-8", "replace") for text in texts)
        return
    if isinstance(documents, str | bytes):
        raise ValueError(
            "`documents` must be a dataset or an iterable of strings, not one "
            f"string. Received: documents={documents[:40]!r}"
        )
    for text in documents:
        if not isinstance(text, str):
            raise ValueError(
                "`documents` must hold strings. Received: "
                f"{text!r:.60} of type {type(text).__name__}"
            )
        yield text


def _choose_alphabet(words, room):
    """Chooses the symbols (`a` or `##a`) that pieces consist of."""
    counts = collections.Counter()
    for word, count in words.items():
        for symbol in _symbols(word):
            counts[symbol] += count
    total = sum(counts.values())
    ranked = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
    covered = list(itertools.accumulate(counts[symbol] for symbol in ranked))
    least = 1 + sum(part < _LEAST_COVERAGE * total for part in covered)
    if least > room:
        raise ValueError(
            "`vocabulary_size` must have room for the special tokens and the "
            "characters of the text, each at the beginning and inside of words "
            f"where it occurs there: at least {least + len(SPECIAL_TOKENS)} "
            f"for this text. Received: {room + len(SPECIAL_TOKENS)}"
        )
    wanted = 1 + sum(part < _WANTED_COVERAGE * total for part in covered)
    return sorted(
        ranked[: min(wanted, room, _CODES)],
        key=lambda symbol: (symbol.startswith("##"), symbol),
    )


def _symbols(word):
    return [word[0], *("##" + letter for letter in word[1:])]


def _learn_pieces(words, alphabet, vocabulary_size):
    """Returns the alphabet and the pieces merged from it, in learning order.

    The trainer breaks ties by the numbers of its symbols. It numbers its
    alphabet by code point, but symbols inside of words in an order that differs
    between processes. So every symbol gets a code point of its own, and words
    have no suffix symbols.
    """
    # Only learning needs this library.
    import tokenizers

    codes = {symbol: _code(index) for index, symbol in enumerate(alphabet)}
    letters = {code: symbol for symbol, code in codes.items()}

    def texts():
        for word, count in sorted(words.items()):
            symbols = _symbols(word)
            if all(symbol in codes for symbol in symbols):
                coded = "".join(codes[symbol] for symbol in symbols) + " "
                while count > 0:
                    yield coded * min(count, 1000)
                    count -= 1000

    learner = tokenizers.Tokenizer(tokenizers.models.BPE())
    learner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(SPECIAL_TOKENS),
        min_frequency=_MIN_FREQUENCY,
        initial_alphabet=list(letters),
        show_progress=False,
    )
    learner.train_from_iterator(texts(), trainer)
    learned = learner.get_vocab()
    pieces = []
    for coded in sorted(learned, key=learned.get):
        first, *others = (letters[code] for code in coded)
        pieces.append(first + "".join(symbol[2:] for symbol in others))
    return pieces


def _code(index):
    # The last two code points of a plane are not characters.
    plane, place = divmod(index, 0xFFFE)
    return chr(_FIRST_CODE + 0x10000 * plane + place)
