"""Tokens with the characters of the text that they came from."""

from unilmv2_tf.preprocessing.tensorflow_graph import tf
from unilmv2_tf.preprocessing.tensorflow_graph import tf_text
from unilmv2_tf.preprocessing.tokenizer import clean
from unilmv2_tf.preprocessing.tokenizer import normalize
from unilmv2_tf.preprocessing.tokenizer import split_words


def tokens_with_offsets(tokenizer, texts):
    """Returns the ids, first characters and ends of tokens, ragged int32.

    Offsets count the code points of the text before any normalization. An
    accent stays with its letter, as do the letters of one Hangul syllable; the
    pieces of a split ligature have the same characters.
    """
    # 1. The characters of the normalized text, and their owners, the
    #    characters of the original text.
    codes = tf.strings.unicode_decode(texts, "UTF-8")
    owners, owner_ends, base = _owners(tokenizer, codes)

    # 2. Words, and the character of the normalized text where each begins.
    normalized = _normalized(
        tokenizer, tf.strings.unicode_encode(codes, "UTF-8")
    )
    words, starts = split_words(
        normalized, tokenizer.split_on_cjk, _unsplit_tokens(tokenizer)
    )
    first_character = _character_of_byte(normalized, starts)

    # 3. The pieces of each distinct word.
    vocabulary, word_of_vocabulary = tf.unique(words.flat_values)
    pieces = _pieces(tokenizer, vocabulary)
    ids, first, last = (tf.gather(x, word_of_vocabulary) for x in pieces)

    # 4. Back to the original text.
    tokens_of_word = ids.row_lengths()
    row_splits = tf.gather(ids.row_splits, words.row_splits)
    row_base = tf.repeat(base, row_splits[1:] - row_splits[:-1])
    word_base = tf.repeat(first_character, tokens_of_word)
    token_starts = tf.gather(owners, word_base + first.flat_values) - row_base
    token_ends = (
        tf.gather(owner_ends, tf.gather(owners, word_base + last.flat_values))
        - row_base
    )
    return tuple(
        tf.RaggedTensor.from_row_splits(
            tf.cast(values, tf.int32), row_splits, validate=False
        )
        for values in (ids.flat_values, token_starts, token_ends)
    )


def _normalized(tokenizer, texts):
    return normalize(
        clean(texts), tokenizer.strip_accents, tokenizer.split_on_cjk
    )


def _unsplit_tokens(tokenizer):
    if not tokenizer.special_tokens_in_strings:
        return ()
    own = tokenizer.get_config()["special_tokens"] or ()
    return (*tokenizer.special_tokens, *own)


def _strings_of(codes):
    return tf.strings.unicode_encode(codes[:, tf.newaxis], "UTF-8")


def _owners(tokenizer, codes):
    """Maps characters of the normalized texts to their owners.

    Returns the owner of each normalized character; the end of each original
    one, with the accents that were stripped after it; the first of each text.
    """
    # Normalizing only the distinct characters is cheap.
    distinct, index = tf.unique(codes.flat_values)
    strings = _strings_of(distinct)
    normalized = _normalized(tokenizer, strings)
    lengths = tf.strings.length(normalized, "UTF8_CHAR")
    is_lost_accent = (lengths == 0) & (clean(strings) != "")

    lengths = tf.gather(lengths, index)
    numbers = tf.range(tf.size(index, tf.int64))
    owners = tf.repeat(numbers, lengths)

    # Stripped accents follow their letter.
    base = codes.row_splits[:-1]
    is_first = tf.math.unsorted_segment_max(
        tf.ones_like(base, tf.int32), base, tf.size(index, tf.int64) + 1
    )
    leads = (lengths > 0) | (is_first[:-1] > 0)
    leader = tf.cumsum(tf.cast(leads, tf.int32)) - 1
    reach = tf.where(
        (lengths > 0) | tf.gather(is_lost_accent, index), numbers + 1, 0
    )
    ends = tf.math.unsorted_segment_max(reach, leader, tf.size(index))
    return owners, tf.gather(ends, leader), base


def _character_of_byte(texts, starts):
    """Turns byte offsets into characters, counted through all texts."""
    _, offsets = tf.strings.unicode_decode_with_offsets(texts, "UTF-8")
    sizes = tf.cast(tf.strings.length(texts), tf.int64)
    base = tf.cumsum(sizes, exclusive=True)
    offsets = offsets.flat_values + tf.repeat(base, offsets.row_lengths())
    starts = starts.flat_values + tf.repeat(base, starts.row_lengths())
    return tf.searchsorted(offsets, starts, out_type=tf.int64)


def _pieces(tokenizer, words):
    """Returns ids, and first and last characters, of the pieces of words."""
    ids = tokenizer(words)
    clusters, cluster_of_character = _clusters(words)
    num_clusters = tf.size(clusters.flat_values, tf.int64)
    folded = _folded(tokenizer, clusters.flat_values)
    sizes = tf.cast(tf.strings.length(folded), tf.int64)
    piece_sizes = _piece_sizes(tokenizer, ids)

    # The folded word is the concatenation of its pieces and of its clusters,
    # which gives each byte its piece and its cluster. The only piece of an
    # unknown word has all clusters.
    num_words = tf.size(words, tf.int64)
    joined = tf.strings.unsorted_segment_join(
        folded, clusters.value_rowids(), num_words
    )
    folded_words = _folded(tokenizer, words)
    is_spelled = (joined == folded_words) & (
        tf.reduce_sum(piece_sizes, axis=1)
        == tf.cast(tf.strings.length(folded_words), tf.int64)
    )
    cluster_ends = tf.cumsum(sizes)
    base = tf.gather(tf.pad(cluster_ends, [[1, 0]]), clusters.row_splits)
    word = ids.value_rowids()
    piece_ends = tf.cumsum(piece_sizes.flat_values)
    piece_base = tf.gather(tf.pad(piece_ends, [[1, 0]]), ids.row_splits)
    ends = piece_ends + tf.gather(base - piece_base, word)
    starts = ends - piece_sizes.flat_values
    spelled = tf.gather(is_spelled, word)
    first, last = (
        tf.where(
            spelled,
            tf.searchsorted(
                cluster_ends, byte, side="right", out_type=tf.int64
            ),
            tf.gather(whole, word),
        )
        for byte, whole in (
            (starts, clusters.row_splits[:-1]),
            (ends - 1, clusters.row_splits[1:] - 1),
        )
    )
    # From clusters to characters.
    cluster_splits = tf.pad(
        tf.cumsum(
            tf.math.unsorted_segment_sum(
                tf.ones_like(cluster_of_character),
                cluster_of_character,
                num_clusters,
            )
        ),
        [[1, 0]],
    )
    word_base = tf.gather(
        cluster_splits, tf.gather(clusters.row_splits[:-1], word)
    )
    first = tf.gather(cluster_splits, first) - word_base
    last = tf.gather(cluster_splits, last + 1) - 1 - word_base
    return ids, ids.with_flat_values(first), ids.with_flat_values(last)


def _folded(tokenizer, texts):
    return tf_text.case_fold_utf8(texts) if tokenizer.lowercase else texts


def _piece_sizes(tokenizer, ids):
    """The number of bytes of each piece in its word, ragged as `ids`."""
    sizes = tf.constant(
        [len(token.encode()) for token in tokenizer.get_vocabulary()], tf.int64
    )
    sizes = tf.gather(sizes, ids.flat_values)
    positions = tf.range(tf.size(sizes, tf.int64))
    is_first = positions == tf.gather(ids.row_splits, ids.value_rowids())
    suffix = len(tokenizer.suffix_indicator.encode())
    return ids.with_flat_values(tf.where(is_first, sizes, sizes - suffix))


def _clusters(words):
    """Splits words into the units that case folding keeps apart.

    A mark belongs to the character before it, a Hangul vowel to a leading
    consonant, and a trailing consonant to a vowel. Returns the clusters of each
    word, and the cluster of each character of all words.
    """
    codes = tf.strings.unicode_decode(words, "UTF-8")
    distinct, index = tf.unique(codes.flat_values)
    decomposed = tf_text.normalize_utf8(_strings_of(distinct), "NFKD")

    def matches(pattern):
        matching = tf.strings.regex_full_match(decomposed, f"(?s){pattern}")
        return tf.gather(matching, index)

    def shifted(x):
        return tf.pad(x[:-1], [[1, 0]])

    leading, vowel, trailing = (
        r"[\x{1100}-\x{1112}]",
        r"[\x{1161}-\x{1175}]",
        r"[\x{11A8}-\x{11C2}]",
    )
    follows = (
        matches(r"\p{M}.*")
        | (matches(f"{vowel}.*") & shifted(matches(f".*{leading}")))
        | (matches(f"{trailing}.*") & shifted(matches(f".*{vowel}")))
    )
    positions = tf.range(tf.size(index, tf.int64))
    is_first = positions == tf.gather(codes.row_splits, codes.value_rowids())
    begins = tf.cast(is_first | ~follows, tf.int64)
    ends = tf.pad(tf.cumsum(begins), [[1, 0]])
    cluster_of_character = ends[1:] - 1
    strings = tf.strings.unicode_encode(
        tf.RaggedTensor.from_value_rowids(
            codes.flat_values, cluster_of_character, ends[-1], validate=False
        ),
        "UTF-8",
    )
    clusters = tf.RaggedTensor.from_row_splits(
        strings, tf.gather(ends, codes.row_splits), validate=False
    )
    return clusters, cluster_of_character
