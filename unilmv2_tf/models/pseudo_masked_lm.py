from collections.abc import Sequence

import keras
import keras_hub
from keras import ops

from unilmv2_tf.models.backbone import UniLMv2Backbone
from unilmv2_tf.models.language_model import LanguageModelTask
from unilmv2_tf.models.language_model import get_pseudo_token_id
from unilmv2_tf.models.language_model import make_language_model_head
from unilmv2_tf.models.task import check_rows_fit
from unilmv2_tf.preprocessing.pseudo_masked_lm_preprocessor import (
    UniLMv2PseudoMaskedLMPreprocessor,
)

OBJECTIVES = ("ae", "par")


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2PseudoMaskedLM(LanguageModelTask, keras_hub.models.MaskedLM):
    """Pre-trains UniLMv2 on two objectives in one forward pass.

    Autoencoding (`"ae"`) predicts every masked token from the corrupted text.
    Partially autoregressive modeling (`"par"`) predicts the masked spans one
    factorization step after another, each with the true tokens of the steps
    before. Both share the encoding of the context. The loss is their sum.

    With a preprocessor, `fit` takes raw strings and masks them anew in every
    epoch. A preprocessor with `block_probability=0` makes every step a single
    token: the fully autoregressive ablation of the paper.

    Args:
        backbone: A `UniLMv2Backbone`.
        preprocessor: A `UniLMv2PseudoMaskedLMPreprocessor`, or `None` for
            integer inputs. Defaults to `None`.
        objectives: Tuple of strings out of `"ae"` and `"par"`. Defaults to
            both.
        pseudo_token_id: int. The id of the pseudo mask `[P]`. Required without
            a preprocessor. Defaults to that of the preprocessor's tokenizer.
        **kwargs: See `keras_hub.models.Task`.

    Call arguments:
        inputs: A dict of int tensors. `token_ids`, `segment_ids` and
            `padding_mask` of shape `(batch, n)`: the corrupted text.
            `mask_positions`, `mask_steps` and `revealed_token_ids` of shape
            `(batch, m)`: the positions of the masked tokens, the step at which
            each is predicted (0 in unused slots), and the original tokens.

    Returns:
        A dict with a key for each objective: logits of shape
        `(batch, m, vocabulary_size)`.

    Raises:
        ValueError: If an objective is unknown, there is no `pseudo_token_id`,
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
        backbone: UniLMv2Backbone,
        preprocessor: UniLMv2PseudoMaskedLMPreprocessor | None = None,
        objectives: Sequence[str] = OBJECTIVES,
        pseudo_token_id: int | None = None,
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
        pseudo_token_id = get_pseudo_token_id(pseudo_token_id, preprocessor)
        if pseudo_token_id is None:
            raise ValueError(
                "`pseudo_token_id` is needed without a `preprocessor`: the id "
                "that stands for [P], in released checkpoints that of [MASK]. "
                "Received: pseudo_token_id=None, preprocessor=None"
            )
        check_rows_fit(backbone, preprocessor)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.language_model_head = make_language_model_head(backbone)

        # === Functional Model ===
        slots = {
            name: keras.Input(shape=(None,), dtype="int32", name=name)
            for name in ("mask_positions", "mask_steps", "revealed_token_ids")
        }
        text, positions = backbone.input, slots["mask_positions"]
        # The last layer computes what is predicted: the masked tokens of the
        # context ("ae"), then the pseudo masks ("par").
        if "par" in objectives:
            hidden_states = backbone.encode_blocks(
                **text,
                revealed_token_ids=slots["revealed_token_ids"],
                pseudo_token_ids=ops.full_like(positions, pseudo_token_id),
                target_segment_ids=ops.take_along_axis(
                    text["segment_ids"], positions, axis=1
                ),
                target_positions=positions,
                steps=slots["mask_steps"],
                query_indices=positions if "ae" in objectives else None,
                predicted_only=True,
            )
        else:
            hidden_states = backbone.encode(**text, query_indices=positions)
        states = {objectives[0]: hidden_states}
        if len(objectives) > 1:
            states = dict(zip(OBJECTIVES, ops.split(hidden_states, 2, axis=1)))
        outputs = {
            name: self.language_model_head(states[name]) for name in objectives
        }
        super().__init__(inputs={**text, **slots}, outputs=outputs, **kwargs)

        # === Config ===
        self.objectives = objectives
        self.pseudo_token_id = pseudo_token_id

    def training_defaults(self):
        """AdamW with the paper's betas, and the sum of the cross entropies."""
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )
        accuracy = keras.metrics.SparseCategoricalAccuracy
        return {
            "optimizer": keras.optimizers.AdamW(
                1e-4, weight_decay=0.01, beta_2=0.98, epsilon=1e-6
            ),
            "loss": dict.fromkeys(self.output, loss),
            "weighted_metrics": {
                name: [accuracy("accuracy")] for name in self.output
            },
        }

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
