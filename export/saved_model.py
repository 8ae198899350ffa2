"""A SavedModel that turns strings into strings, for TensorFlow Serving."""

import contextlib

import keras
import tensorflow as tf

from unilmv2_tf.export.samplers import scored_sampler
from unilmv2_tf.export.signature_file import write_extra_assets
from unilmv2_tf.export.versions import publish_version


def export_generation(
    task, path, max_length=None, sampler=None, text_signature=True
):
    """Writes a sequence-to-sequence model as a SavedModel for servers.

    Tokenizer, model, beam search and detokenizer are in the graph, for any
    batch size, with nothing that needs XLA. It has the layout of TensorFlow
    Serving, and appears there at once, when it is complete:

        path/1/saved_model.pb, variables/, fingerprint.pb
        path/1/assets.extra/vocab.txt         the WordPieces, one a line
        path/1/assets.extra/signature.json    lengths, sampler, versions

    The next export into the same `path` becomes `path/2`. The signatures:

        serving_default   text                     (batch,)    string
                          -> generated_text        (batch,)    string
                             score                 (batch,)    float32
        generate_ids      encoder_token_ids        (batch, n)  int32
                          encoder_padding_mask     (batch, n)  int32
                          -> decoder_token_ids     (batch, m)  int32
                             decoder_padding_mask  (batch, m)  int32
                             score                 (batch,)    float32

    `generate_ids` takes sources `[CLS] ... [SEP]`, padded to any length `n`;
    `m` is `max_length`. The score is that by which the beam search ranks
    (log-probability over length penalty); of other samplers it is the sum of
    the log-probabilities of the tokens.

    `serving_default` needs the operations of TensorFlow Text, which a Python
    process has after `import tensorflow_text`. Python loads a SavedModel as a
    whole: for a process without them export with `text_signature=False`.

    Args:
        task: a `UniLMv2Seq2SeqLM` with a preprocessor. It is not changed.
        path: str or path. The folder of the versions, usually the name of the
            model. It is made if it does not exist.
        max_length: int. The longest target, with its `[SEP]`. Defaults to
            `None`, the `decoder_sequence_length` of the preprocessor.
        sampler: a `BeamSearchSampler` that returns one sequence, any sampler
            that chooses token by token, or its name. Defaults to `None`, the
            task's own, see `compile()`.
        text_signature: bool. Whether to write the signature of strings. If
            not, `generate_ids` is `serving_default` as well. Defaults to
            `True`.

    Returns:
        The path of the version that was written, a string.

    Raises:
        ValueError: if the task has no preprocessor, the sampler cannot be
            exported, `max_length` is below 1 or leaves no positions for the
            source, or `path` is no folder of versions.
        NotADirectoryError: if `path` is a file or below a file.
        PermissionError: if `path` cannot be written.
        RuntimeError: if Keras does not run on TensorFlow.

    Example:

    >>> import os, tempfile
    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> task = UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone(7, 1, 1, 8, 8, max_sequence_length=16),
    ...     UniLMv2Seq2SeqLMPreprocessor(
    ...         tokenizer, encoder_sequence_length=8,
    ...         decoder_sequence_length=4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     version = export_generation(task, os.path.join(folder, "fox"))
    ...     os.path.relpath(version, folder), sorted(os.listdir(version))
    ('fox/1', ['assets', 'assets.extra', 'fingerprint.pb', 'saved_model.pb',
     'variables'])
    """
    max_length = _check(task, max_length)
    sampler = scored_sampler(task.sampler if sampler is None else sampler)

    def write(folder):
        # The archive finds the variables by itself. Tracking the task would
        # add its optimizer, and whatever functions it has compiled so far.
        archive = keras.export.ExportArchive()
        endpoints = _Endpoints(task, max_length)
        signatures = {}
        if text_signature:
            signatures["serving_default"] = archive.add_endpoint(
                "serving_default",
                endpoints.generate_text,
                [tf.TensorSpec([None], tf.string, name="text")],
            )
        signatures["generate_ids"] = archive.add_endpoint(
            "generate_ids",
            endpoints.generate_ids,
            [
                tf.TensorSpec([None, None], tf.int32, name=name)
                for name in ("encoder_token_ids", "encoder_padding_mask")
            ],
        )
        # The archive traces when it writes.
        with _using_sampler(task, sampler):
            archive.write_out(folder, verbose=False)
        write_extra_assets(folder, task, sampler, max_length, signatures)

    return publish_version(path, write)


class _Endpoints:
    def __init__(self, task, max_length):
        self.task = task
        self.max_length = max_length

    def generate_text(self, text):
        preprocessor = self.task.preprocessor
        outputs = self._generate(
            preprocessor.generate_preprocess(
                text, sequence_length=self.max_length
            )
        )
        return {
            "generated_text": preprocessor.detokenize_in_graph(
                outputs["decoder_token_ids"], outputs["decoder_padding_mask"]
            ),
            "score": outputs["score"],
        }

    def generate_ids(self, encoder_token_ids, encoder_padding_mask):
        length = tf.shape(encoder_token_ids)[1]
        longest = self.task.backbone.max_sequence_length - self.max_length
        # Past the table a GPU would read zeros, and say nothing.
        check = tf.debugging.assert_less_equal(
            length,
            longest,
            f"`encoder_token_ids` must be (batch, n) with n <= {longest}",
        )
        with tf.control_dependencies([check]):
            encoder_token_ids = tf.identity(encoder_token_ids)
        shape = [tf.shape(encoder_token_ids)[0], self.max_length]
        pad_token_id = self.task.preprocessor.tokenizer.pad_token_id
        return self._generate(
            {
                "encoder_token_ids": encoder_token_ids,
                "encoder_padding_mask": encoder_padding_mask,
                "decoder_token_ids": tf.fill(shape, pad_token_id),
                "decoder_padding_mask": tf.zeros(shape, tf.int32),
            }
        )

    def _generate(self, inputs):
        tokenizer = self.task.preprocessor.tokenizer
        outputs = self.task.generate_step(
            inputs, stop_token_ids=(tokenizer.end_token_id,)
        )
        names = ("decoder_token_ids", "decoder_padding_mask")
        return {
            **{name: tf.cast(outputs[name], tf.int32) for name in names},
            "score": tf.cast(outputs["scores"], tf.float32),
        }


@contextlib.contextmanager
def _using_sampler(task, sampler):
    own = task.sampler
    task.sampler = sampler
    try:
        yield
    finally:
        task.sampler = own


def _check(task, max_length):
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "A SavedModel is written by the TensorFlow backend of Keras. "
            f"Received: backend {keras.backend.backend()!r}. Save the task "
            "with `save_to_preset()`, and export it in a process with "
            "KERAS_BACKEND=tensorflow."
        )
    if not hasattr(task, "generate_step"):
        raise ValueError(
            "`task` must be a UniLMv2Seq2SeqLM. Received: "
            f"{type(task).__name__}"
        )
    if task.preprocessor is None:
        raise ValueError(
            "`task` must have a preprocessor, since the SavedModel takes and "
            "gives strings. Received: preprocessor=None. Build the task with "
            "`UniLMv2Seq2SeqLM(backbone, UniLMv2Seq2SeqLMPreprocessor("
            "tokenizer, ...))`."
        )
    if max_length is None:
        max_length = task.preprocessor.decoder_sequence_length
    positions = task.backbone.max_sequence_length
    source_length = task.preprocessor.encoder_sequence_length
    if not 1 <= max_length <= positions - source_length:
        raise ValueError(
            "`max_length` must be at least 1, and with the preprocessor's "
            f"encoder_sequence_length={source_length} at most the "
            f"{positions} positions of the backbone. Received: "
            f"max_length={max_length}"
        )
    return int(max_length)
