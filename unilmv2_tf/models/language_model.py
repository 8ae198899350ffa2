from unilmv2_tf.layers.language_model_head import LanguageModelHead
from unilmv2_tf.models.backbone import unilmv2_kernel_initializer
from unilmv2_tf.models.infilling import infill
from unilmv2_tf.models.task import UniLMv2Task


class LanguageModelTask(UniLMv2Task):
    """What the tasks with a language model head share: the head, `infill`."""

    head_layers = ("language_model_head",)
    # Of the text around gaps, for a task that has no such argument.
    source_segment_id = 0

    def fit(
        self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs
    ):
        """Trains on raw strings, masked anew in every epoch, or on integers.

        Args:
            x: The inputs of the preprocessor, batched if `x` is a dataset; or,
                without a preprocessor, its outputs.
            y: Labels, without a preprocessor only.
            batch_size: int, for `x` that is not a dataset. Defaults to `32`.
            sample_weight: Weights, without a preprocessor only.
            **kwargs: See `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        if hasattr(self.preprocessor, "renew_each_epoch"):
            x = self.preprocessor.renew_each_epoch(x, batch_size or 32)
            batch_size = None
            # Arrays are shuffled already; datasets have their own order.
            kwargs["shuffle"] = False
        return super().fit(x, y, batch_size, sample_weight, **kwargs)

    def infill(
        self,
        texts: str | list[str],
        num_steps: int | None = None,
        top_k: int | None = None,
        batch_size: int = 32,
    ):
        """Fills gaps in texts, in any order.

        A gap, written `[MASK]`, is one token. In each step all open gaps of a
        text are predicted at pseudo masks that see each other, the text, and
        the gaps filled before. The most certain ones are filled, the others
        are predicted again. Text between the gaps is returned unchanged.

        Args:
            texts: string, or list of strings.
            num_steps: int. The number of steps, with about equally many gaps
                filled in each; 1 fills all at once. Defaults to `None`, one
                gap in each step.
            top_k: int. The number of candidates to return for each gap.
                Defaults to `None`, none.
            batch_size: int. Texts that are filled at once. Defaults to `32`.

        Returns:
            A string for a string, a list of strings for a list. With `top_k`,
            a dict instead of each string: the `text`, and for each gap in
            `gaps` a dict of the `step` in which it was filled and its
            `candidates` in that step, pairs of a token and its probability.

        Raises:
            ValueError: If an argument is out of range, a text is too long, the
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
    def _arguments_from(cls, saved, kwargs, backbone_kwargs):
        arguments = super()._arguments_from(saved, kwargs, backbone_kwargs)
        if isinstance(saved, LanguageModelTask):
            arguments["pseudo_token_id"] = saved.pseudo_token_id
        return arguments

    def get_config(self):
        config = super().get_config()
        config["pseudo_token_id"] = self.pseudo_token_id
        return config


def make_language_model_head(backbone):
    return LanguageModelHead(
        token_embedding=backbone.token_embedding,
        layer_norm_epsilon=backbone.layer_norm_epsilon,
        kernel_initializer=unilmv2_kernel_initializer(),
        approximate_gelu=backbone.approximate_gelu,
        dtype=backbone.dtype_policy,
        name="language_model_head",
    )


def get_pseudo_token_id(pseudo_token_id, preprocessor):
    """The given id, or else that of the preprocessor's tokenizer."""
    if pseudo_token_id is None and preprocessor is not None:
        return preprocessor.tokenizer.pseudo_token_id
    return pseudo_token_id
