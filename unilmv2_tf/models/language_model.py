from unilmv2_tf.layers import LanguageModelHead
from unilmv2_tf.models.backbone import kernel_initializer
from unilmv2_tf.models.infilling import infill
from unilmv2_tf.models.task import UniLMv2Task


class LanguageModelTask(UniLMv2Task):
    """What the tasks with a language model head have in common.

    A mix-in for subclasses of `keras_hub.models.Task`: the head, which these
    tasks hand over to each other, and training on texts that are masked anew
    in every epoch.

    Args:
        backbone: a `UniLMv2Backbone`.
        preprocessor: a preprocessor of the task, or `None`. Defaults to
            `None`.
        pseudo_token_id: int. The id that stands in the pseudo block. Defaults
            to the one of the preprocessor's tokenizer.
        **kwargs: see `keras_hub.models.Task`.

    Reference:
        Bao et al., 2020, section 3.1.
    """

    # Of the text around gaps, for a task that doesn't say otherwise.
    source_segment_id = 0

    def __init__(
        self, backbone, preprocessor=None, pseudo_token_id=None, **kwargs
    ):
        if pseudo_token_id is None and preprocessor is not None:
            pseudo_token_id = preprocessor.tokenizer.pseudo_token_id
        self.pseudo_token_id = pseudo_token_id
        self.language_model_head = LanguageModelHead(
            token_embedding=backbone.token_embedding,
            layer_norm_epsilon=backbone.layer_norm_epsilon,
            kernel_initializer=kernel_initializer(),
            approximate_gelu=backbone.approximate_gelu,
            dtype=backbone.dtype_policy,
            name="language_model_head",
        )
        super().__init__(backbone, preprocessor, **kwargs)

    def fit(
        self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs
    ):
        """Trains on raw strings, masked anew in every epoch, or on integers.

        Args:
            x: what the preprocessor takes, batched if it is a dataset; or,
                without a preprocessor, what it returns.
            y: labels, without a preprocessor only.
            batch_size: int, for `x` that is not a dataset. Defaults to `32`.
            sample_weight: weights, without a preprocessor only.
            **kwargs: see `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        if hasattr(self.preprocessor, "renew_each_epoch"):
            x = self.preprocessor.renew_each_epoch(x, batch_size or 32)
            batch_size = None
            # It was, unless it came as a dataset.
            kwargs["shuffle"] = False
        return super().fit(x, y, batch_size, sample_weight, **kwargs)

    def infill(self, texts, num_steps=None, top_k=None, batch_size=32):
        """Fills gaps in texts, in any order.

        In each step all open gaps of a text are predicted at once, at pseudo
        masks that see each other, the text around them, and the gaps that are
        filled already. The most certain ones are filled, and the rest is
        predicted anew. A gap, written `[MASK]`, is one token; what is between
        the gaps stays as it is.

        Args:
            texts: string, or list of strings.
            num_steps: int. All gaps are filled in so many steps at most, about
                equally many in each; 1 fills all at once. Defaults to `None`,
                one gap in each step.
            top_k: int. How many candidates to return for each gap. Defaults to
                `None`, none.
            batch_size: int. Texts that are filled at once; it changes nothing
                else. Defaults to `32`.

        Returns:
            A string for a string, a list of strings for a list. With `top_k`
            a dict in the place of each: the `text`, and for each gap in `gaps`
            a dict of the `step` in which it was filled, and the `candidates`
            that it had then, pairs of a token and its probability.

        Raises:
            ValueError: if an argument is out of range, a text is too long, the
                task has no preprocessor, or it has no objective `"par"`.

        Example:

        >>> from unilmv2_tf import UniLMv2Backbone, UniLMv2PseudoMaskedLM
        >>> from unilmv2_tf import UniLMv2PseudoMaskedLMPreprocessor
        >>> from unilmv2_tf import UniLMv2Tokenizer
        >>> tokenizer = UniLMv2Tokenizer(
        ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "quick", "fox"])
        >>> masked_lm = UniLMv2PseudoMaskedLM(
        ...     UniLMv2Backbone.from_preset(
        ...         "unilmv2_tiny", load_weights=False, vocabulary_size=7),
        ...     UniLMv2PseudoMaskedLMPreprocessor(tokenizer))
        >>> text = masked_lm.infill("The [MASK] brown [MASK] jumped.")
        >>> len(text.split())
        5

        Reference:
            Bao et al., 2020, section 3.2.
        """
        return infill(self, texts, num_steps, top_k, batch_size)

    @classmethod
    def arguments_of_other(cls, other, kwargs):
        arguments = super().arguments_of_other(other, kwargs)
        if isinstance(other, LanguageModelTask):
            arguments["pseudo_token_id"] = other.pseudo_token_id
        return arguments

    def take_head_of_other(self, other, kwargs):
        if isinstance(other, LanguageModelTask):
            self.language_model_head.set_weights(
                other.language_model_head.get_weights()
            )

    def get_config(self):
        config = super().get_config()
        config["pseudo_token_id"] = self.pseudo_token_id
        return config
