"""Pre-training and fine-tuning, as `unilmv2 pretrain` and `finetune` do."""

from unilmv2_tf.training.arguments import AnswerArgs
from unilmv2_tf.training.arguments import ClassifyArgs
from unilmv2_tf.training.arguments import PretrainArgs
from unilmv2_tf.training.arguments import Seq2SeqArgs
from unilmv2_tf.training.finetune import finetune_answer
from unilmv2_tf.training.finetune import finetune_classify
from unilmv2_tf.training.finetune import finetune_seq2seq
from unilmv2_tf.training.pretrain import pretrain

__all__ = [
    "AnswerArgs",
    "ClassifyArgs",
    "PretrainArgs",
    "Seq2SeqArgs",
    "finetune_answer",
    "finetune_classify",
    "finetune_seq2seq",
    "pretrain",
]
