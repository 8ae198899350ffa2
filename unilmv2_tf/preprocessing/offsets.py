"""Tokens with the characters of the text that they came from."""

from unilmv2_tf.preprocessing.tensorflow_graph import tf


def tokens_with_offsets(tokenizer, texts):
    """Returns the ids, first characters and ends of tokens, ragged int32.

    Offsets count the code points of the text before any cleaning. An accent
    that is stripped stays with its letter.
    """
    segments, tokens, is_token = tokenizer.segments(texts)
    codes = tf.strings.unicode_decode(segments.values, "UTF-8")
    splits = codes.row_splits

    # 1. The character, counted through all texts, that each byte of the cleaned
    #    text came from.
    sizes, is_accent = _cleaned_sizes(tokenizer, codes.values)
    in_token = tf.gather(is_token, codes.value_rowids())
    sizes = tf.where(in_token, 0, sizes)
    characters = tf.range(tf.size(sizes, tf.int64))
    character_of_byte = tf.repeat(characters, sizes)
    bytes_before = tf.pad(tf.cumsum(tf.cast(sizes, tf.int64)), [[1, 0]])

    # 2. The end of each character, with the accents after it.
    is_first = characters == tf.gather(splits, codes.value_rowids())
    leader = tf.cumsum(tf.cast((sizes > 0) | is_first, tf.int32)) - 1
    is_kept = (sizes > 0) | is_accent
    ends = tf.math.unsorted_segment_max(
        tf.where(is_kept, characters + 1, 0), leader, tf.size(sizes)
    )
    ends = tf.gather(ends, leader)

    # 3. Pieces, with their bytes in the cleaned text. Where a word was changed
    #    after the split, its pieces stand for the whole word.
    words, word_starts, word_ends = tokenizer.words(
        tf.where(is_token, "", segments.values)
    )
    pieces, *limits = tokenizer.pieces(words.values)
    word = pieces.value_rowids()
    word_sizes = word_ends.values - word_starts.values
    word_bytes = tf.cast(tf.strings.length(words.values), tf.int64)
    is_spelled = tf.gather(word_bytes == word_sizes, word)
    is_spelled &= tf.cast(limits[1].values, tf.int64) <= tf.gather(
        word_sizes, word
    )
    word_base = word_starts.values + tf.gather(
        bytes_before, tf.gather(splits, words.value_rowids())
    )
    first, end = (
        tf.where(is_spelled, tf.cast(limit.values, tf.int64), whole)
        + tf.gather(word_base, word)
        for limit, whole in zip(limits, (0, tf.gather(word_sizes, word)))
    )

    # 4. Back to characters of each text, together with the matched tokens.
    of_pieces = (
        tf.cast(pieces.values, tf.int64),
        tf.gather(character_of_byte, first),
        tf.gather(ends, tf.gather(character_of_byte, end - 1)),
    )
    of_tokens = (
        tf.cast(tokens.values, tf.int64),
        tf.boolean_mask(splits[:-1], is_token),
        tf.boolean_mask(splits[1:], is_token),
    )
    token_ids, starts, ends = (
        segments.with_values(
            tf.concat(
                [
                    tokens.with_values(tokens_values),
                    words.with_values(pieces.with_values(values)).merge_dims(
                        1, 2
                    ),
                ],
                axis=1,
            )
        ).merge_dims(1, 2)
        for tokens_values, values in zip(of_tokens, of_pieces)
    )
    base = tf.gather(splits, segments.row_splits[:-1])
    base = tf.repeat(base, token_ids.row_lengths())
    return tuple(
        x.with_values(tf.cast(x.values - offset, tf.int32))
        for x, offset in ((token_ids, 0), (starts, base), (ends, base))
    )


def _cleaned_sizes(tokenizer, codes):
    """The bytes of characters after cleaning, and which are lost accents."""
    # Cleaning only the distinct characters is cheap.
    distinct, index = tf.unique(codes)
    strings = tf.strings.unicode_encode(distinct[:, tf.newaxis], "UTF-8")
    cleaned = tokenizer.normalize(strings)
    sizes = tf.strings.length(cleaned)
    is_accent = (sizes == 0) & tf.strings.regex_full_match(strings, r"\p{Mn}")
    return tf.gather(sizes, index), tf.gather(is_accent, index)
