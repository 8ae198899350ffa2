import keras
import numpy as np
from keras import ops

from unilmv2_tf.preprocessing.fit_datasets import check_texts

# Sources are cut to a multiple of this length: few different shapes where
# each one is compiled, and little padding.
BUCKET_WIDTH = 32


class BatchedGeneration:
    """`generate()` for any number of texts of any length.

    A mix-in for subclasses of `keras_hub.models.Seq2SeqLM`, named before them.
    Sources of similar length share a batch, which is cut to the longest.
    """

    def generate(
        self,
        inputs,
        max_length: int | None = None,
        stop_token_ids="auto",
        strip_prompt: bool = False,
        batch_size: int = 32,
        on_batch=None,
    ):
        """Generates a text for each source.

        Args:
            inputs: A string, a list of strings, or a dict of `encoder_text`
                and, optionally, `decoder_text`, the beginning of each text;
                or a `tf.data.Dataset` of batches of them. Without a
                preprocessor: the dict of int arrays of `generate_step`.
            max_length: int. The maximum length of a text in tokens, including
                its end token. Defaults to `None`, that of the preprocessor;
                without one, the width of `decoder_token_ids`.
            stop_token_ids: Tuple of ids that end a text, `"auto"` for the
                `[SEP]` of the tokenizer, or `None`: every text gets the
                maximum length. Defaults to `"auto"`.
            strip_prompt: bool. Whether to return texts without their
                `decoder_text`. Defaults to `False`.
            batch_size: int. The number of sources in a batch. It does not
                change the results of deterministic samplers. Defaults to
                `32`.
            on_batch: Function that is called with the number of sources of
                each finished batch. Defaults to `None`.

        Returns:
            A string for a string, a list of strings in the order of the inputs
            for several, or what the preprocessor makes of several sequences or
            scores; without a preprocessor the arrays of `generate_step`.

        Raises:
            ValueError: If an argument is out of range, there is no
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
        check_texts(inputs, "inputs")
        stop_token_ids = self._stop_token_ids(stop_token_ids)
        generate_function = self.make_generate_function()
        if hasattr(generate_function, "with_current_kernels"):
            generate_function = generate_function.with_current_kernels()

        def generate_rows(rows):
            outputs = generate_function(rows, stop_token_ids=stop_token_ids)
            return {
                name: ops.convert_to_numpy(x) for name, x in outputs.items()
            }

        if isinstance(inputs, (list, tuple)) and not len(inputs):
            return []
        batches, is_single = self._batches(inputs)
        results = []
        for rows in batches:
            if self.preprocessor is not None:
                rows = self.preprocessor.generate_preprocess(
                    rows, sequence_length=max_length
                )
            rows = {name: ops.convert_to_numpy(x) for name, x in rows.items()}
            # Checked before rows are cut, so it does not depend on the texts.
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
                outputs = _without_prompt(outputs, rows)
            if self.preprocessor is not None:
                outputs = self.preprocessor.generate_postprocess(outputs)
            results.append(outputs)
        return _join(results, is_single)

    def make_generate_function(self):
        """Makes the function that generates for one batch of integers.

        On TensorFlow without XLA it is traced once for each maximum length of
        targets, for any number and length of sources.
        """
        if self.generate_function is None and self._takes_any_batch():
            self.generate_function = self.generate_step
            if not self.run_eagerly:
                from unilmv2_tf.models.tensorflow_decoding import TracedOnce

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

    def _batches(self, inputs):
        """The inputs as a list of batches, and whether it was one text."""
        if hasattr(inputs, "as_numpy_iterator"):
            return inputs.as_numpy_iterator(), False
        if self.preprocessor is None:
            return [inputs], False
        if not isinstance(inputs, dict):
            inputs = {"encoder_text": inputs}
        is_single = np.ndim(next(iter(inputs.values()))) == 0
        if is_single:
            inputs = {name: [text] for name, text in inputs.items()}
        return [inputs], is_single


def check_lengths(source_length, target_length, max_sequence_length):
    """Raises if source and target exceed the position table.

    Lengths that are not known yet, and so are no integers, pass.
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
    original_order = np.argsort(order, kind="stable")
    return {
        name: np.concatenate([part[name] for part in parts])[original_order]
        for name in parts[0]
    }


def _without_prompt(outputs, rows):
    is_text = np.asarray(outputs["decoder_padding_mask"]).astype(bool)
    is_prompt = rows["decoder_padding_mask"].astype(bool)
    if is_text.ndim == 3:
        is_prompt = is_prompt[:, None]
    return {**outputs, "decoder_padding_mask": is_text & ~is_prompt}


def _join(results, is_single):
    """Joins the results of batches; takes the only one of a single text."""
    if isinstance(results[0], dict):
        return {
            name: _join([result[name] for result in results], is_single)
            for name in results[0]
        }
    if isinstance(results[0], list):
        joined = [text for result in results for text in result]
    else:
        joined = np.concatenate(results)
    return joined[0] if is_single else joined
