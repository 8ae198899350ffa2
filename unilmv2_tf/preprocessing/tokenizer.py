import os
import re
import sys

import keras
import keras_hub
import numpy as np

from unilmv2_tf.preprocessing.tensorflow_graph import tf
from unilmv2_tf.preprocessing.tensorflow_graph import tf_text
from unilmv2_tf.preprocessing.text_cleaning import CLEANINGS
from unilmv2_tf.preprocessing.text_cleaning import MAX_WORD_CHARACTERS
from unilmv2_tf.preprocessing.text_cleaning import PIECE_MARK
from unilmv2_tf.preprocessing.text_cleaning import clean_words
from unilmv2_tf.preprocessing.text_cleaning import encode_piece
from unilmv2_tf.preprocessing.text_cleaning import normalize
from unilmv2_tf.preprocessing.text_cleaning import plain_text
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
        # TensorFlow Text refuses tokens that are there twice, empty or have a
        # NUL. No word has a space, so that other names may have it.
        last = {token: index for index, token in enumerate(vocabulary)}
        last.pop("", None)
        unused = {" ", "\0", *PIECE_MARK}
        names = [
            token
            if last.get(token) == index and not unused & set(token)
            else f"  {index}"
            for index, token in enumerate(vocabulary)
        ]
        super().set_vocabulary(names)
        self.vocabulary = vocabulary
        self._ids_of_tokens = last
        self._ids_of_names = {
            name: index for index, name in enumerate(names[: self._num_lines])
        }
        if self._fast_word_piece is not None:
            self._set_tables()

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

    def _set_tables(self):
        # A lookup table would have a state, which exports must track.
        with tf.device("cpu"):
            self._tokens = tf.constant(self.vocabulary)
            hashes = _hash([*map(encode_piece, self._ids_of_tokens)]).numpy()
            order = np.argsort(hashes)
            ids = np.array([*self._ids_of_tokens.values()], "int32")
            self._hashes = tf.constant(hashes[order])
            self._ids_of_hashes = tf.constant(ids[order])

    def save_assets(self, dir_path):
        tokens = self.vocabulary[: self._num_lines]
        save_vocabulary(tokens, os.path.join(dir_path, self.file_assets[0]))

    def load_assets(self, dir_path):
        self.set_vocabulary(os.path.join(dir_path, self.file_assets[0]))

    def tokenize(self, inputs):
        self._check_vocabulary()
        if isinstance(inputs, bytes):
            inputs = inputs.decode("utf-8", errors="replace")
        # TensorFlow takes a hundred times as long to start.
        if (
            self.cleaning == "bert"
            and self.compute_dtype != "string"
            and not self.sequence_length
        ):
            if isinstance(inputs, str):
                return np.array(self._python_ids(inputs), self.compute_dtype)
            if isinstance(inputs, list) and all(
                isinstance(text, str) for text in inputs
            ):
                return [self._python_ids(text) for text in inputs]
        with tf.device("cpu"):
            if not isinstance(inputs, (tf.Tensor, tf.RaggedTensor)):
                inputs = tf.convert_to_tensor(inputs, tf.string)
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

    def _python_ids(self, text):
        tokens = self._tokens_in_strings()
        parts = [text]
        if tokens:
            parts = re.split(f"({'|'.join(map(re.escape, tokens))})", text)
        table = clean_words(
            self.lowercase, self.strip_accents, self.split_on_cjk
        )
        ids = []
        for part in parts:
            if part in tokens:
                ids.append(self._ids_of_tokens[part])
                continue
            for word in part.translate(table).split():
                ids += self._python_pieces(word)
        return ids

    def _python_pieces(self, word):
        """Longest match first."""
        if word.startswith(PIECE_MARK):
            token = plain_text(word)
            return [self._ids_of_tokens.get(token, self.unk_token_id)]
        if len(word) > MAX_WORD_CHARACTERS:
            return [self.unk_token_id]
        ids, prefix = [], ""
        while word:
            for end in range(len(word), 0, -1):
                if (name := prefix + word[:end]) in self._ids_of_names:
                    break
            else:
                return [self.unk_token_id]
            ids.append(self._ids_of_names[name])
            word, prefix = word[end:], self.suffix_indicator
        return ids

    def _ids(self, texts):
        if texts.shape.rank == 0:
            texts = texts[tf.newaxis]
        if texts.shape.rank > 1:
            if not isinstance(texts, tf.RaggedTensor):
                texts = tf.RaggedTensor.from_tensor(texts)
            return texts.with_values(self._ids(texts.values))
        if not self._tokens_in_strings():
            return self._ids_of_plain_texts(texts)
        segments, tokens, is_token = self.segments(texts)
        plain = tf.where(is_token, "", segments.values)
        ids = tf.concat([tokens, self._ids_of_plain_texts(plain)], axis=1)
        return segments.with_values(ids).merge_dims(1, 2)

    def _ids_of_plain_texts(self, texts):
        words, _, _ = self.words(texts)
        ids, _, _ = self.pieces(words.values)
        return words.with_values(ids).merge_dims(1, 2)

    def _tokens_in_strings(self):
        """Tokens that are matched as they are, the longest first."""
        tokens = set(self.added_tokens)
        if self.special_tokens_in_strings:
            tokens.update(self.special_tokens)
            tokens.update(self._init_special_tokens or ())
        return sorted(tokens, key=lambda token: (-len(token), token))

    def segments(self, texts):
        """Splits texts at the tokens that are matched as they are.

        Returns the segments, ragged; of all segments the ids of such tokens,
        ragged, one or none; and whether they are such tokens.
        """
        # TensorFlow Text would drop what follows a NUL.
        texts = tf.strings.regex_replace(texts, r"\x{0}", "\x01")
        # A pattern that matches nothing, if there are no tokens.
        names = self._tokens_in_strings() or [PIECE_MARK + PIECE_MARK]
        pattern = "|".join(map(re.escape, names))
        segments = tf_text.regex_split(texts, pattern, pattern)
        is_name = segments.values[:, tf.newaxis] == tf.constant(names)
        is_token = tf.reduce_any(is_name, axis=1)
        ids = [self._ids_of_tokens.get(name, 0) for name in names]
        ids = tf.gather(ids, tf.argmax(tf.boolean_mask(is_name, is_token), 1))
        ids = tf.RaggedTensor.from_row_lengths(
            ids, tf.cast(is_token, tf.int64), validate=False
        )
        return segments, ids, is_token

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
        if self.lowercase and self.cleaning != "bert":
            words = words.with_values(tf_text.case_fold_utf8(words.values))
        return words, starts, ends

    def pieces(self, words):
        """The pieces of words: ids, first bytes and ends in words, ragged."""
        is_piece = tf.strings.substr(words, 0, len(PIECE_MARK.encode()))
        is_piece = is_piece == PIECE_MARK
        is_long = tf.strings.length(words, "UTF8_CHAR") > MAX_WORD_CHARACTERS
        # A space makes a word unknown.
        ids, starts, ends = self._fast_word_piece.tokenize_with_offsets(
            tf.where(is_long & ~is_piece, " " + words, words)
        )
        # Pieces of lists are one unknown token until now.
        places = tf.where(is_piece)[:, 0]
        hashes = _hash(tf.gather(words, places))
        found = tf.searchsorted(self._hashes, hashes)
        found = tf.minimum(found, len(self._ids_of_tokens) - 1)
        values = tf.tensor_scatter_nd_update(
            ids.values,
            tf.gather(ids.row_starts(), places)[:, tf.newaxis],
            tf.where(
                tf.gather(self._hashes, found) == hashes,
                tf.gather(self._ids_of_hashes, found),
                self.unk_token_id,
            ),
        )
        return ids.with_values(values), starts, ends

    def detokenize(self, inputs):
        if not self._use_tf_workflow():
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


def note_special_tokens(tokenizer, texts, name):
    """Prints how many texts hold special tokens that are split like text."""
    if tokenizer.special_tokens_in_strings:
        return
    special = "|".join(map(re.escape, tokenizer.special_tokens))
    search = re.compile(special).search
    found = [
        match.group()
        for text in texts
        if PIECE_MARK not in text and (match := search(text))
    ]
    if found:
        print(
            f"{len(found):,} of {len(texts):,} {name} hold special tokens such "
            f"as {found[0]}, which are split like other text. With "
            "--special_tokens_in_strings true they are single tokens",
            file=sys.stderr,
        )


def _hash(tokens):
    return tf.strings.to_hash_bucket_fast(tokens, 2**62)


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
