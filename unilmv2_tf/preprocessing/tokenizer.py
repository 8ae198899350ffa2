import keras
import keras_hub


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2Tokenizer(keras_hub.tokenizers.WordPieceTokenizer):
    """A WordPiece tokenizer with the special tokens of UniLMv2.

    The vocabulary must hold `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`.
    The pseudo mask `[P]` of the paper has no entry of its own in released
    checkpoints: the `[MASK]` embedding stands for it. A model pre-trained from
    scratch may give it one, with `pseudo_token`.

    Args:
        vocabulary: list of strings, or the path of a file with one token a
            line.
        lowercase: bool. Whether to lowercase the text. Defaults to `True`.
        pseudo_token: string. The token that stands for `[P]`. Defaults to
            `"[MASK]"`.
        special_tokens_in_strings: bool. Whether special tokens in texts become
            their ids, instead of being split as any other text. Defaults to
            `False`.
        **kwargs: see `keras_hub.tokenizers.WordPieceTokenizer`.

    Raises:
        ValueError: if the vocabulary lacks a special token or holds a token
            twice.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox",
    ...      "jump", "##ed"])
    >>> np.array(tokenizer("The fox jumped")).tolist()
    [5, 6, 7, 8]
    >>> tokenizer.detokenize([5, 6, 7, 8])
    'the fox jumped'
    >>> tokenizer.pseudo_token_id
    4
    """

    def __init__(
        self,
        vocabulary=None,
        lowercase=True,
        pseudo_token="[MASK]",
        special_tokens_in_strings=False,
        **kwargs,
    ):
        # KerasHub's own way to declare special tokens; there is no public one,
        # and without it a masker may mask them.
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
            **kwargs,
        )

    def set_vocabulary(self, vocabulary):
        if vocabulary is not None and not isinstance(vocabulary, str):
            vocabulary = list(vocabulary)
            _check_no_duplicates(vocabulary)
        super().set_vocabulary(vocabulary)
        if vocabulary is not None:
            _check_no_duplicates(self.vocabulary)

    def get_config(self):
        config = super().get_config()
        config["pseudo_token"] = self.pseudo_token
        # KerasHub leaves it out.
        config["split_on_cjk"] = self.split_on_cjk
        return config


def _check_no_duplicates(vocabulary):
    first_line = {}
    for line, token in enumerate(vocabulary, start=1):
        if token in first_line:
            raise ValueError(
                "`vocabulary` must not hold a token twice. Received: "
                f"{token!r} in lines {first_line[token]} and {line}. Remove "
                "one of them, if the model was not trained with both."
            )
        first_line[token] = line
