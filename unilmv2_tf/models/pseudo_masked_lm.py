import keras
import keras_hub
from keras import ops

from unilmv2_tf.models.language_model import LanguageModelTask
from unilmv2_tf.models.task import check_rows_fit
from unilmv2_tf.preprocessing.pseudo_masked_lm_preprocessor import (
    UniLMv2PseudoMaskedLMPreprocessor,
)

OBJECTIVES = ("ae", "par")


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2PseudoMaskedLM(LanguageModelTask, keras_hub.models.MaskedLM):
    """Pre-trains UniLMv2 on two objectives in one forward pass.

    Autoencoding (`"ae"`) predicts every masked token from the corrupted text,
    partially autoregressive modelling (`"par"`) predicts the masked spans one
    factorization step after another, each seeing the true tokens of the steps
    before. Both read the same encoding of the context. The loss is their sum.

    With a preprocessor, `fit` takes raw strings and masks them anew in every
    epoch. A preprocessor with `block_probability=0` makes every step a single
    token: the fully autoregressive ablation of the paper.

    Args:
        backbone: a `UniLMv2Backbone`.
        preprocessor: a `UniLMv2PseudoMaskedLMPreprocessor`, or `None` to feed
            integers. Defaults to `None`.
        objectives: tuple of strings out of `"ae"` and `"par"`. Defaults to
            both.
        pseudo_token_id: int. The id of the pseudo mask `[P]`. Defaults to the
            one of the preprocessor's tokenizer; needed without a preprocessor.
        **kwargs: see `keras_hub.models.Task`.

    Call arguments:
        inputs: a dict of int tensors. `token_ids`, `segment_ids` and
            `padding_mask` of shape `(batch, n)`, the corrupted text;
            `mask_positions`, `mask_steps` and `revealed_token_ids` of shape
            `(batch, m)`: where the masked tokens are, at which step each is
            predicted (0 in unused slots), and what they were.

    Returns:
        A dict with a key for each objective: logits of shape
        `(batch, m, vocabulary_size)`.

    Raises:
        ValueError: if an objective is unknown, there is no `pseudo_token_id`,
            or the preprocessor's rows exceed the positions of the backbone.

    Example:

    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2PseudoMaskedLM
    >>> from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "quick",
    ...      "brown", "fox", "jumped", "."])
    >>> masked_lm = UniLMv2PseudoMaskedLM(
    ...     UniLMv2Backbone.from_preset(
    ...         "unilmv2_tiny", load_weights=False,
    ...         vocabulary_size=tokenizer.vocabulary_size()),
    ...     UniLMv2PseudoMaskedLMPreprocessor(tokenizer, sequence_length=16))
    >>> texts = ["The quick brown fox jumped.", "The fox jumped."]
    >>> history = masked_lm.fit(texts, batch_size=2, epochs=1, verbose=0)
    >>> sorted(history.history)
    ['ae_accuracy', 'ae_loss', 'loss', 'par_accuracy', 'par_loss']

    Reference:
        Bao et al., 2020, section 3, equations 3 to 7.
    """

    preprocessor_cls = UniLMv2PseudoMaskedLMPreprocessor

    def __init__(
        self,
        backbone,
        preprocessor=None,
        objectives=OBJECTIVES,
        pseudo_token_id=None,
        **kwargs,
    ):
        objectives = tuple(objectives)
        if (
            not objectives
            or len(set(objectives)) != len(objectives)
            or set(objectives) - set(OBJECTIVES)
        ):
            raise ValueError(
                '`objectives` must be ("ae",), ("par",) or ("ae", "par"). '
                f"Received: objectives={objectives}"
            )
        if preprocessor is None and pseudo_token_id is None:
            raise ValueError(
                "`pseudo_token_id` is needed without a `preprocessor`: the id "
                "that stands for [P], in released checkpoints that of [MASK]. "
                "Received: pseudo_token_id=None, preprocessor=None"
            )
        check_rows_fit(backbone, preprocessor)
        self.objectives = objectives
        super().__init__(backbone, preprocessor, pseudo_token_id, **kwargs)

    def make_graph(self, backbone):
        def integers(name):
            return keras.Input(shape=(None,), dtype="int32", name=name)

        slots = {
            name: integers(name)
            for name in ("mask_positions", "mask_steps", "revealed_token_ids")
        }
        inputs = {**backbone.input, **slots}
        mask_positions = slots["mask_positions"]
        with_ae = "ae" in self.objectives
        if "par" in self.objectives:
            hidden_states = backbone.encode_blocks(
                **backbone.input,
                revealed_token_ids=slots["revealed_token_ids"],
                pseudo_token_ids=ops.full_like(
                    mask_positions, self.pseudo_token_id
                ),
                target_segment_ids=ops.take_along_axis(
                    inputs["segment_ids"], mask_positions, axis=1
                ),
                target_positions=mask_positions,
                steps=slots["mask_steps"],
                picked_places=mask_positions if with_ae else None,
                predicted_only=True,
            )
        else:
            hidden_states = backbone.encode(
                **backbone.input, picked_places=mask_positions
            )
        # The last layer computes the masked tokens of the context, and the
        # pseudo masks after them.
        predicted = [hidden_states]
        if len(self.objectives) > 1:
            predicted = ops.split(hidden_states, 2, axis=1)
        names = [name for name in OBJECTIVES if name in self.objectives]
        states = dict(zip(names, predicted))
        outputs = {
            name: self.language_model_head(states[name])
            for name in self.objectives
        }
        return inputs, outputs

    @classmethod
    def default_preprocessor(cls, tokenizer, max_sequence_length):
        return cls.preprocessor_cls(
            tokenizer, sequence_length=min(512, max_sequence_length)
        )

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        weighted_metrics="auto",
        **kwargs,
    ):
        """Configures training. See `keras_hub.models.MaskedLM.compile`.

        Args:
            optimizer: `"auto"` for AdamW with the paper's betas and a learning
                rate of 1e-4, or an optimizer. Defaults to `"auto"`.
            loss: `"auto"` for the mean cross entropy of the masked tokens, for
                each objective; their sum is minimised. Defaults to `"auto"`.
            weighted_metrics: `"auto"` for the accuracy of each objective.
                Defaults to `"auto"`.
            **kwargs: see `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = keras.optimizers.AdamW(
                1e-4, weight_decay=0.01, beta_2=0.98, epsilon=1e-6
            )
        if loss == "auto":
            loss = {
                name: keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True, reduction="mean_with_sample_weight"
                )
                for name in self.objectives
            }
        if weighted_metrics == "auto":
            weighted_metrics = {
                name: [keras.metrics.SparseCategoricalAccuracy("accuracy")]
                for name in self.objectives
            }
        super().compile(
            optimizer=optimizer,
            loss=loss,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return super().compute_loss(
            x,
            self._for_each_objective(y),
            y_pred,
            self._for_each_objective(sample_weight),
            training=training,
        )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(
            x,
            self._for_each_objective(y),
            y_pred,
            self._for_each_objective(sample_weight),
        )

    def _for_each_objective(self, value):
        # Both objectives predict the same tokens.
        if value is None or isinstance(value, dict):
            return value
        return {name: value for name in self.objectives}

    def get_config(self):
        config = super().get_config()
        config["objectives"] = list(self.objectives)
        return config
