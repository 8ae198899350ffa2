"""The variables of our models under the canonical names of `layouts`."""

from unilmv2_tf.checkpoints.layouts import OUTPUT_BIAS
from unilmv2_tf.checkpoints.layouts import POSITION_EMBEDDINGS
from unilmv2_tf.checkpoints.layouts import RELATIVE_TABLE
from unilmv2_tf.checkpoints.layouts import SEGMENT_EMBEDDINGS
from unilmv2_tf.checkpoints.layouts import WORD_EMBEDDINGS
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.models import UniLMv2TextClassifier

# The tasks whose heads have official names.
CONVERTIBLE_TASKS = (
    UniLMv2PseudoMaskedLM,
    UniLMv2Seq2SeqLM,
    UniLMv2TextClassifier,
    UniLMv2QuestionAnswerer,
)
# Attributes of tasks with the layer that gives the output.
_OUTPUT_LAYERS = {"logits_dense": "classifier", "span_dense": "qa_outputs"}


def _dense(name, layer):
    return {f"{name}.weight": layer.kernel, f"{name}.bias": layer.bias}


def _layer_norm(name, layer):
    return {f"{name}.weight": layer.gamma, f"{name}.bias": layer.beta}


def _embedding_variables(backbone):
    embeddings = backbone.embeddings
    variables = {
        WORD_EMBEDDINGS: embeddings.token_embedding.embeddings,
        POSITION_EMBEDDINGS: (embeddings.position_embedding.embeddings),
        SEGMENT_EMBEDDINGS: (embeddings.segment_embedding.embeddings),
        **_layer_norm("embeddings.LayerNorm", embeddings.layer_norm),
    }
    if backbone.relative_position_bias is not None:
        variables[RELATIVE_TABLE] = backbone.relative_position_bias.table
    return variables


def _layer_variables(name, layer):
    attention = layer.self_attention
    return {
        **_dense(f"{name}.attention.self.query", attention.query),
        **_dense(f"{name}.attention.self.key", attention.key),
        **_dense(f"{name}.attention.self.value", attention.value),
        **_dense(f"{name}.attention.output.dense", attention.output_dense),
        **_layer_norm(
            f"{name}.attention.output.LayerNorm",
            layer.self_attention_layer_norm,
        ),
        **_dense(f"{name}.intermediate.dense", layer.intermediate_dense),
        **_dense(f"{name}.output.dense", layer.output_dense),
        **_layer_norm(f"{name}.output.LayerNorm", layer.output_layer_norm),
    }


def _head_variables(head):
    name = "cls.predictions"
    return {
        **_dense(f"{name}.transform.dense", head.dense),
        **_layer_norm(f"{name}.transform.LayerNorm", head.layer_norm),
        OUTPUT_BIAS: head.output_bias,
    }


def _task_variables(task):
    if hasattr(task, "language_model_head"):
        return _head_variables(task.language_model_head)
    variables = {}
    if hasattr(task, "pooled_dense"):
        variables.update(_dense("pooler.dense", task.pooled_dense))
    for attribute, name in _OUTPUT_LAYERS.items():
        if hasattr(task, attribute):
            variables.update(_dense(name, getattr(task, attribute)))
    return variables


def canonical_variables(model):
    """Lists the variables of a model under canonical names.

    Args:
        model: a `UniLMv2Backbone`, or a task on one.

    Returns:
        A dict from the names in `unilmv2_tf.checkpoints.layouts` to Keras
        variables. Dense kernels and the relative table are transposed with
        respect to the canonical layout; `is_transposed` tells which.

    Example:

    >>> from unilmv2_tf.models import UniLMv2Backbone
    >>> backbone = UniLMv2Backbone(
    ...     vocabulary_size=11, num_layers=1, num_heads=2, hidden_dim=4,
    ...     intermediate_dim=8, max_sequence_length=6)
    >>> variables = canonical_variables(backbone)
    >>> tuple(variables["encoder.layer.0.intermediate.dense.weight"].shape)
    (4, 8)
    >>> len(variables) == len(backbone.weights)
    True
    """
    is_task = not isinstance(model, UniLMv2Backbone)
    backbone = model.backbone if is_task else model
    variables = _embedding_variables(backbone)
    for index, layer in enumerate(backbone.transformer_layers):
        variables.update(_layer_variables(f"encoder.layer.{index}", layer))
    if is_task:
        variables.update(_task_variables(model))
    return variables


def is_transposed(name):
    """Tells whether ours is the transpose of a canonical tensor.

    Args:
        name: str. A canonical name.

    Returns:
        bool.

    Example:

    >>> is_transposed("rel_pos_bias.weight")
    True
    >>> is_transposed("embeddings.word_embeddings.weight")
    False
    """
    layer, _, kind = name.rpartition(".")
    return kind == "weight" and layer.endswith(
        (
            "query",
            "key",
            "value",
            "dense",
            "rel_pos_bias",
            "classifier",
            "qa_outputs",
        )
    )
