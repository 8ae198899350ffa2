from unilmv2_tf.layers import LanguageModelHead
from unilmv2_tf.models.backbone import kernel_initializer
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
