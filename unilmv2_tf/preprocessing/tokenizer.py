import os
import re

import keras
import keras_hub
import numpy as np

from unilmv2_tf.preprocessing.tensorflow_graph import tf
from unilmv2_tf.preprocessing.tensorflow_graph import tf_text
from unilmv2_tf.preprocessing.text_cleaning import CLEANINGS
from unilmv2_tf.preprocessing.text_cleaning import MAX_WORD_CHARACTERS
from unilmv2_tf.preprocessing.text_cleaning import PIECE_MARK
from unilmv2_tf.preprocessing.text_cleaning import normalize
from unilmv2_tf.preprocessing.text_cleaning import split_words
from unilmv2_tf.preprocessing.vocabulary import check_vocabulary
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary
from unilmv2_tf.preprocessing.vocabulary import save_vocabulary


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2Tokenizer(keras_hub.tokenizers.WordPieceTokenizer):
    """A WordPiece tokenizer with the special tokens of UniLMv2.

    The vocabulary must hold `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`.
    In released checkpoints `[MASK]` serves as the pseudo mask `[P]` too. Text
    is cleaned as BERT cleans it: all kinds of white space separate words,
    invisible characters are dropped, letters are lowercased, accents taken off;
    full-width characters, ligatures and the like stay as they are. Words of
    more than 100 characters are `[UNK]`. `join_word_pieces` makes a text of a
    list of WordPieces that gets exactly their ids.

    Args:
        vocabulary: list of strings, or the path of a file with one token a
            line. The id of a token is its place, that of the last one where a
            token occurs twice.
        lowercase: bool. Whether to lowercase the text. Defaults to `True`.
        pseudo_token: string. The token that serves as `[P]`. Defaults to
            `"[MASK]"`.
        special_tokens_in_strings: bool. Whether special tokens in texts are
            mapped to their ids, instead of being split like other text.
            Defaults to `False`.
        strip_accents: bool. Whether to remove accents from letters. Defaults to
            `None`, the value of `lowercase`.
        added_tokens: dict from tokens to ids, as in the `added_tokens.json` of
            a checkpoint. They are added to the vocabulary at these ids, and
            matched in texts as they are, before anything else, inside of words
            too. Defaults to `None`.
        cleaning: `"bert"` or `"keras_hub"`, which folds compatibility
            characters (`ﬁ` to `fi`, a full-width comma to a comma) and was
            the only one before this argument existed: a saved preset without
            it keeps its ids. Defaults to `"bert"`.
        **kwargs: See `keras_hub.tokenizers.WordPieceTokenizer`.

    Raises:
        ValueError: if the vocabulary lacks a special token, or an argument is
            invalid.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "jump", "##ed"],
    ...     added_tokens={"[E1]": 7})
    >>> np.array(tokenizer("[E1] Jumped")).tolist()
    [7, 5, 6]
    >>> tokenizer.detokenize([5, 6])
    'jumped'
    """

    def __init__(
        self,
        vocabulary=None,
        lowercase: bool = True,
        pseudo_token: str = "[MASK]",
        special_tokens_in_strings: bool = False,
        strip_accents: bool | None = None,
        added_tokens: dict | None = None,
        cleaning: str = "bert",
        **kwargs,
    ):
        if cleaning not in CLEANINGS:
            raise ValueError(
                f"`cleaning` must be one of {', '.join(CLEANINGS)}. Received: "
                f"cleaning={cleaning!r}"
            )
        if not kwargs.get("split", True):
            raise ValueError(
                "Text is always split into words. Received: split=False. For "
                "pieces that are known use `join_word_pieces`."
            )
        self.cleaning = cleaning
        self.added_tokens = dict(added_tokens or {})
        # KerasHub has no public way to declare special tokens, and without it
        # its masked language model preprocessing may mask them.
        for token, name in (
            ("[PAD]", "pad_token"),
            ("[UNK]", "unk_token"),
            ("[CLS]", "cls_token"),
            ("[SEP]", "sep_token"),
            ("[MASK]", "mask_token"),
            (pseudo_token, "pseudo_token"),
            ("[CLS]", "start_token"),
            ("[SEP]", "end_token"),
        ):
            self._add_special_token(token, name)
        super().__init__(
            vocabulary=vocabulary,
            lowercase=lowercase,
            special_tokens_in_strings=special_tokens_in_strings,
            strip_accents=lowercase if strip_accents is None else strip_accents,
            **kwargs,
        )

    def set_vocabulary(self, vocabulary):
        if vocabulary is None:
            return super().set_vocabulary(None)
        if isinstance(vocabulary, (str, os.PathLike)):
            vocabulary = load_vocabulary(vocabulary)
        else:
            vocabulary = list(vocabulary)
            check_vocabulary(vocabulary)
        self._num_lines = len(vocabulary)
        vocabulary = _with_added_tokens(vocabulary, self.added_tokens)
        # The library refuses tokens that are there twice, empty or have a NUL.
        # No word has a space, so that other names may have it.
        last = {token: index for index, token in enumerate(vocabulary)}
        last.pop("", None)
        super().set_vocabulary(
            [
                token
                if last.get(token) == index and not {" ", "\0"} & set(token)
                else f"  {index}"
                for index, token in enumerate(vocabulary)
            ]
        )
        self.vocabulary = vocabulary
        # A lookup table would have a state, which exports must track.
        with tf.device("cpu"):
            self._tokens = tf.constant(vocabulary)
            hashes = _hash(self._tokens).numpy()
            order = np.argsort(hashes, kind="stable").astype("int32")
            self._hashes = tf.constant(hashes[order])
            self._ids_of_hashes = tf.constant(order)

    def _set_vocabulary_tf(self):
        # KerasHub's limits words to 100 bytes. A character has at most 4.
        self._fast_word_piece = tf_text.FastWordpieceTokenizer(
            vocab=self.vocabulary[: self._num_lines],
            suffix_indicator=self.suffix_indicator,
            max_bytes_per_word=4 * MAX_WORD_CHARACTERS,
            token_out_type=tf.int32,
            unknown_token=self.oov_token,
            no_pretokenization=True,
        )

    def save_assets(self, dir_path):
        tokens = self.vocabulary[: self._num_lines]
        save_vocabulary(tokens, os.path.join(dir_path, self.file_assets[0]))

    def load_assets(self, dir_path):
        self.set_vocabulary(os.path.join(dir_path, self.file_assets[0]))

    def tokenize(self, inputs):
        self._check_vocabulary()
        with tf.device("cpu"):
            if not isinstance(inputs, (tf.Tensor, tf.RaggedTensor)):
                inputs = tf.convert_to_tensor(_valid_utf8(inputs), tf.string)
            ids = self._ids(inputs)
            if self.compute_dtype == "string":
                ids = tf.ragged.map_flat_values(tf.gather, self._tokens, ids)
            else:
                ids = tf.cast(ids, self.compute_dtype)
            if self.sequence_length:
                shape = [*ids.shape[:-1], self.sequence_length]
                ids = ids.to_tensor(shape=shape)
            if inputs.shape.rank == 0:
                ids = ids[0]
        if not tf.executing_eagerly():
            return ids
        return ids.to_list() if hasattr(ids, "to_list") else ids.numpy()

    def _ids(self, texts):
        if texts.shape.rank == 0:
            texts = texts[tf.newaxis]
        if texts.shape.rank > 1:
            if not isinstance(texts, tf.RaggedTensor):
                texts = tf.RaggedTensor.from_tensor(texts)
            return texts.with_values(self._ids(texts.values))
        segments, tokens, is_token = self.segments(texts)
        words, _, _ = self.words(tf.where(is_token, "", segments.values))
        pieces = self._fast_word_piece.tokenize(words).merge_dims(1, 2)
        ids = tf.concat([tokens, pieces], axis=1)
        return segments.with_values(ids).merge_dims(1, 2)

    def segments(self, texts):
        """Splits texts at the tokens that are matched as they are.

        Returns the segments, ragged; of all segments the ids of such tokens,
        ragged, one or none; and whether they are such tokens.
        """
        tokens = set(self.added_tokens)
        if self.special_tokens_in_strings:
            tokens.update(self.special_tokens)
            tokens.update(self.get_config()["special_tokens"] or ())
        # The first alternative that matches counts.
        patterns = map(re.escape, sorted(tokens, key=len, reverse=True))
        pattern = "|".join([f"{PIECE_MARK}[^{PIECE_MARK[0]} ]*", *patterns])
        # TensorFlow Text would drop what follows a NUL.
        texts = tf.strings.regex_replace(texts, r"\x{0}", "\x01")
        segments = tf_text.regex_split(texts, pattern, pattern)
        is_token = tf.strings.regex_full_match(segments.values, pattern)
        ids = self._lookup(
            tf.strings.regex_replace(
                tf.boolean_mask(segments.values, is_token), PIECE_MARK, ""
            )
        )
        ids = tf.RaggedTensor.from_row_lengths(
            ids, tf.cast(is_token, tf.int64), validate=False
        )
        return segments, ids, is_token

    def _lookup(self, tokens):
        place = tf.searchsorted(self._hashes, _hash(tokens), side="right")
        ids = tf.gather(self._ids_of_hashes, tf.maximum(place - 1, 0))
        is_known = tf.gather(self._tokens, ids) == tokens
        return tf.where(is_known, ids, self.unk_token_id)

    def normalize(self, texts):
        """Cleans texts before they are split."""
        is_lowered = self.lowercase and self.cleaning == "bert"
        return normalize(texts, is_lowered, self.strip_accents)

    def words(self, texts):
        """Splits plain texts into words that WordPiece can be applied to.

        Returns them, and their first bytes and ends in the cleaned text.
        """
        words, starts, ends = split_words(
            self.normalize(texts), self.split_on_cjk
        )
        values = words.values
        if self.lowercase and self.cleaning != "bert":
            values = tf_text.case_fold_utf8(values)
        is_long = tf.strings.length(values, "UTF8_CHAR") > MAX_WORD_CHARACTERS
        # A space makes a word unknown.
        values = tf.where(is_long, " " + values, values)
        return words.with_values(values), starts, ends

    def pieces_with_offsets(self, words):
        """The pieces of words, and their first bytes and ends in the words."""
        return self._fast_word_piece.tokenize_with_offsets(words)

    def detokenize(self, inputs):
        if tf.executing_eagerly():
            return super().detokenize(inputs)
        words = tf.ragged.map_flat_values(
            lambda x: tf.gather(
                self._tokens,
                tf.where(x < len(self.vocabulary), x, self.unk_token_id),
            ),
            inputs,
        )
        suffix = re.escape(self.suffix_indicator)
        return tf.strings.regex_replace(
            tf.strings.reduce_join(words, axis=-1, separator=" "),
            f" {suffix}([^ ])",
            r"\1",
        )

    def get_config(self):
        config = super().get_config()
        config["pseudo_token"] = self.pseudo_token
        # KerasHub leaves it out.
        config["split_on_cjk"] = self.split_on_cjk
        config["cleaning"] = self.cleaning
        config["added_tokens"] = self.added_tokens
        return config

    @classmethod
    def from_config(cls, config):
        # Presets of earlier versions.
        return super().from_config({"cleaning": "keras_hub", **config})


def _hash(tokens):
    return tf.strings.to_hash_bucket_fast(tokens, 2**62)


def _valid_utf8(texts):
    if isinstance(texts, bytes):
        return texts.decode("utf-8", errors="replace")
    if isinstance(texts, (list, tuple)):
        return [_valid_utf8(text) for text in texts]
    return texts


def _with_added_tokens(vocabulary, added_tokens):
    vocabulary = list(vocabulary)
    for token, index in added_tokens.items():
        # Ids between them and the vocabulary have no text.
        vocabulary += [""] * (index + 1 - len(vocabulary))
        if vocabulary[index] not in ("", token):
            raise ValueError(
                "`added_tokens` must have ids of their own. Received: "
                f"{token!r} with the id {index}, which is that of "
                f"{vocabulary[index]!r} in the vocabulary."
            )
        vocabulary[index] = token
    return vocabulary
