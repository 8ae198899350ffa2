import keras
import numpy as np
from keras import ops

# Sources are cut to a multiple of so many tokens: few different shapes where
# each one is compiled, and little padding.
BUCKET_WIDTH = 32


class BatchedGeneration:
    """`generate()` for any number of texts of any length.

    A mix-in for subclasses of `keras_hub.models.Seq2SeqLM`, named before them.
    Sources of similar length are generated for together, and their rows are
    cut to the longest, so that short texts don't pay for long ones.
    """

    def generate(
        self,
        inputs,
        max_length=None,
        stop_token_ids="auto",
        strip_prompt=False,
        batch_size=32,
        on_batch=None,
    ):
        """Generates a text for each source.

        Args:
            inputs: a string, a list of strings, or a dict of `encoder_text`
                and, optionally, `decoder_text`, how each text has to begin;
                or a `tf.data.Dataset` of batches of them. Without a
                preprocessor: the dict of int arrays that `generate_step`
                takes.
            max_length: int. The longest text in tokens, with its end. Defaults
                to `None`, that of the preprocessor; without one it is the
                width of `decoder_token_ids`.
            stop_token_ids: tuple of ids that end a text, `"auto"` for the
                `[SEP]` of the tokenizer, or `None`: every text gets the
                longest length. Defaults to `"auto"`.
            strip_prompt: bool. Whether to leave out what `decoder_text` gave.
                Defaults to `False`.
            batch_size: int. So many sources are generated for at once; it
                changes time and memory, and no result of a sampler that draws
                nothing. Defaults to `32`.
            on_batch: function, called with the number of sources of each
                batch that is done. Defaults to `None`.

        Returns:
            A string for a string, a list of strings in the order of the inputs
            for several, or what the preprocessor makes of several sequences or
            scores; without a preprocessor the arrays of `generate_step`.

        Raises:
            ValueError: if an argument is out of range, there is no
                preprocessor to say which token ends a text, or the lengths
                exceed the position table.

        Example:

        >>> from unilmv2_tf import UniLMv2Seq2SeqLM
        >>> from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
        >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
        >>> tokenizer = UniLMv2Tokenizer(
        ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fox", "dog"])
        >>> seq_2_seq_lm = UniLMv2Seq2SeqLM.from_preset(
        ...     "unilmv2_tiny", load_weights=False, vocabulary_size=7,
        ...     preprocessor=UniLMv2Seq2SeqLMPreprocessor(
        ...         tokenizer, encoder_sequence_length=16,
        ...         decoder_sequence_length=4))
        >>> len(seq_2_seq_lm.generate(["fox", "dog fox", "dog"], batch_size=2))
        3
        """
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(
                "`batch_size` must be a positive integer. Received: "
                f"batch_size={batch_size}"
            )
        stop_token_ids = self._stop_token_ids(stop_token_ids)
        generate_function = self.make_generate_function()
        if hasattr(generate_function, "with_kernels_of_now"):
            generate_function = generate_function.with_kernels_of_now()

        def generate_rows(rows):
            outputs = generate_function(rows, stop_token_ids=stop_token_ids)
            return {
                name: ops.convert_to_numpy(x) for name, x in outputs.items()
            }

        if isinstance(inputs, dict):
            inputs = dict(inputs)
        elif isinstance(inputs, (list, tuple)) and not len(inputs):
            return []
        inputs, is_single = self._normalize_generate_inputs(inputs)
        results = []
        for batch in inputs:
            rows = batch
            if self.preprocessor is not None:
                rows = self.preprocessor.generate_preprocess(
                    batch, sequence_length=max_length
                )
            rows = {name: ops.convert_to_numpy(x) for name, x in rows.items()}
            # Of the whole row, so that it does not depend on the texts.
            check_lengths(
                rows["encoder_token_ids"].shape[1],
                rows["decoder_token_ids"].shape[1],
                self.backbone.max_sequence_length,
            )
            outputs = _generate_by_length(
                generate_rows,
                rows,
                batch_size,
                # Where every shape is compiled, one shape serves all batches.
                is_padded=not self._takes_any_batch(),
                on_batch=on_batch,
            )
            if strip_prompt:
                outputs = _without_prefix(outputs, rows)
            if self.preprocessor is not None:
                outputs = self.preprocessor.generate_postprocess(outputs)
            results.append(outputs)
        return self._normalize_generate_outputs(results, is_single)

    def make_generate_function(self):
        """Makes the function that generates for one batch of integers.

        On TensorFlow without XLA it is traced once for each length of targets,
        whatever the number and the length of the sources.

        Returns:
            A function of the arguments of `generate_step`.
        """
        if self.generate_function is None and self._takes_any_batch():
            self.generate_function = self.generate_step
            if not self.run_eagerly:
                from unilmv2_tf.models.tensorflow_backend import TracedOnce

                self.generate_function = TracedOnce(self)
        return super().make_generate_function()

    def _takes_any_batch(self):
        if keras.backend.backend() == "torch":
            return False
        if keras.backend.backend() == "jax":
            return self.run_eagerly
        return self.run_eagerly or not self.jit_compile

    def _stop_token_ids(self, stop_token_ids):
        if stop_token_ids is None:
            return None
        if not isinstance(stop_token_ids, str):
            return tuple(int(token_id) for token_id in stop_token_ids)
        if stop_token_ids != "auto" or self.preprocessor is None:
            raise ValueError(
                '`stop_token_ids` must be a tuple of ids or `None`, or "auto" '
                "if the task has a preprocessor. Received: stop_token_ids="
                f"{stop_token_ids!r}, preprocessor={self.preprocessor}"
            )
        return (self.preprocessor.tokenizer.end_token_id,)


def check_lengths(source_length, target_length, max_sequence_length):
    """Checks that source and target have positions.

    Args:
        source_length: int; anything else is not known yet and passes.
        target_length: int, likewise.
        max_sequence_length: int. The positions that there are.

    Raises:
        ValueError: if there are too few.
    """
    lengths = (source_length, target_length)
    if not all(isinstance(length, int) for length in lengths):
        return
    if source_length + target_length > max_sequence_length:
        raise ValueError(
            "Source and target together are longer than the position table. "
            f"Received: encoder length {source_length}, decoder length "
            f"{target_length}, max_sequence_length={max_sequence_length}. "
            "Shorten one of them (`encoder_sequence_length`, "
            "`decoder_sequence_length`, or `max_length` of `generate()`), or "
            "use a backbone with more positions."
        )


def _generate_by_length(generate_rows, rows, batch_size, is_padded, on_batch):
    is_source = rows["encoder_padding_mask"] > 0
    num_rows, width = is_source.shape
    lengths = (is_source * np.arange(1, width + 1)).max(axis=1, initial=0)
    order = np.argsort(lengths, kind="stable")
    parts = []
    for start in range(0, num_rows, batch_size):
        chosen = order[start : start + batch_size]
        num_chosen = len(chosen)
        if is_padded and num_rows > batch_size:
            chosen = np.resize(chosen, batch_size)
        longest = max(int(lengths[chosen].max()), 1)
        longest = min(-(-longest // BUCKET_WIDTH) * BUCKET_WIDTH, width)
        outputs = generate_rows(
            {
                name: x[chosen, :longest] if "encoder" in name else x[chosen]
                for name, x in rows.items()
            }
        )
        parts.append({name: x[:num_chosen] for name, x in outputs.items()})
        if on_batch is not None:
            on_batch(num_chosen)
    if not parts:
        return generate_rows(rows)
    place_of = np.argsort(order, kind="stable")
    return {
        name: np.concatenate([part[name] for part in parts])[place_of]
        for name in parts[0]
    }


def _without_prefix(outputs, rows):
    is_text = np.asarray(outputs["decoder_padding_mask"]).astype(bool)
    is_prefix = rows["decoder_padding_mask"].astype(bool)
    if is_text.ndim == 3:
        is_prefix = is_prefix[:, None]
    return {**outputs, "decoder_padding_mask": is_text & ~is_prefix}
