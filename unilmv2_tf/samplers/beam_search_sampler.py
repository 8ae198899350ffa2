import inspect

import keras
import keras_hub
import numpy as np
from keras import ops

from unilmv2_tf.samplers.beam_arrays import best_of
from unilmv2_tf.samplers.beam_arrays import flat_indices
from unilmv2_tf.samplers.beam_arrays import flatten_beams
from unilmv2_tf.samplers.beam_arrays import gather_beams
from unilmv2_tf.samplers.beam_arrays import repeat_samples
from unilmv2_tf.samplers.beam_arrays import take_samples
from unilmv2_tf.samplers.beam_arrays import top_continuations
from unilmv2_tf.samplers.token_rules import FORBIDDEN_SCORE
from unilmv2_tf.samplers.token_rules import early_stop_penalty
from unilmv2_tf.samplers.token_rules import forbidden_token_penalty
from unilmv2_tf.samplers.token_rules import is_any_of
from unilmv2_tf.samplers.token_rules import repeated_ngram_penalty

# Below any score that a hypothesis can have, forbidden tokens included.
NO_HYPOTHESIS = -1e9
_MINIMUMS = {
    "num_beams": 1,
    "length_penalty": 0,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "num_return_sequences": 1,
    "num_groups": 1,
    "diversity_penalty": 0,
}


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class BeamSearchSampler(keras_hub.samplers.Sampler):
    """Beam search that keeps finished hypotheses.

    A hypothesis that ends is stored with its score and is not extended any
    further; the beams continue with the best open hypotheses. The search of an
    example stops when all of its beams have ended, or when no open beam can
    overtake the best finished hypothesis. Hypotheses are ranked by

        sum of log-probabilities / ((5 + length) / 6) ** length_penalty

    where the length counts the stop token. The search is compilable, for any
    batch size.

    Args:
        num_beams: int. The number of beams of an example. Defaults to `5`.
        length_penalty: float, not negative. Higher values prefer longer texts.
            Defaults to `0.0`.
        min_length: int. The minimum number of tokens before the stop token.
            Defaults to `0`.
        no_repeat_ngram_size: int. The size of the n-grams that may occur only
            once in a text; `0` disables the rule. Defaults to `0`.
        ignored_token_ids: tuple of ids that the n-gram rule does not apply to,
            for example the id of ".". Defaults to `()`.
        num_return_sequences: int, at most `num_beams`. The number of texts for
            each example. Above 1 the outputs have an additional axis, best
            first; every group contributes equally many. Defaults to `1`.
        return_scores: bool. Whether to return scores too. Defaults to `False`.
        forbidden_token_ids: tuple of ids, and of tuples of ids: tokens and
            sequences of tokens that no text contains. Defaults to `()`.
        num_groups: int, a divisor of `num_beams`. The number of groups that
            the beams are divided into. Each group is a search of its own,
            which avoids the tokens that earlier groups chose. Defaults to `1`.
        diversity_penalty: float, not negative. The penalty on a token for each
            beam of an earlier group that has it at the same position. It
            affects the choice, not the scores. Requires `num_groups` above 1.
            Defaults to `0.0`.
        **kwargs: see `keras_hub.samplers.Sampler`.

    Call arguments:
        next: as for `keras_hub.samplers.Sampler`. It may have the methods
            `start_beams(cache, num_beams)` and `reorder_beams(cache, samples)`,
            which replace repeating the cache and gathering from it.
        ...: see `keras_hub.samplers.Sampler`.

    Returns:
        The token ids, of shape `(batch, max_length)` or `(batch,
        num_return_sequences, max_length)`; with `return_scores` a dict of
        `decoder_token_ids`, `scores` (which rank the hypotheses) and
        `log_probs` (before the length penalty).

    Raises:
        ValueError: if an argument is out of range.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from unilmv2_tf.samplers import BeamSearchSampler
    >>> bigrams = np.log([[0.1, 0.6, 0.3], [0.1, 0.5, 0.4], [0.9, 0.05, 0.05]])
    >>> def next(prompt, cache, index):
    ...     last = prompt[:, keras.ops.maximum(index - 1, 0)]
    ...     return keras.ops.take(bigrams, last, axis=0), None, cache
    >>> sampler = BeamSearchSampler(num_beams=2)
    >>> prompt = np.zeros((1, 4), dtype="int32")
    >>> np.array(sampler(next, prompt, stop_token_ids=(0,))).tolist()
    [[2, 0, 0, 0]]

    Reference:
        - [Bao et al., 2020](https://arxiv.org/abs/2002.12804), table 10
        - [Wu et al., 2016](https://arxiv.org/abs/1609.08144) (length penalty)
        - [Vijayakumar et al., 2018](https://arxiv.org/abs/1610.02424) (diverse
          groups)
    """

    def __init__(
        self,
        num_beams: int = 5,
        length_penalty: float = 0.0,
        min_length: int = 0,
        no_repeat_ngram_size: int = 0,
        ignored_token_ids: tuple = (),
        num_return_sequences: int = 1,
        return_scores: bool = False,
        forbidden_token_ids: tuple = (),
        num_groups: int = 1,
        diversity_penalty: float = 0.0,
        **kwargs,
    ):
        given = locals()
        super().__init__(**kwargs)
        for name, minimum in _MINIMUMS.items():
            if given[name] < minimum:
                raise ValueError(
                    f"`{name}` must be at least {minimum}. Received: "
                    f"{name}={given[name]}"
                )
        if num_return_sequences > num_beams:
            raise ValueError(
                "`num_return_sequences` must be at most `num_beams`. Received: "
                f"{num_return_sequences=}, {num_beams=}"
            )
        if num_beams % num_groups:
            raise ValueError(
                "`num_groups` must divide `num_beams`. Received: "
                f"{num_groups=}, {num_beams=}"
            )
        if diversity_penalty and num_groups == 1:
            raise ValueError(
                "`diversity_penalty` requires groups of beams: set "
                "`num_groups` to 2 or more. Received: "
                f"{diversity_penalty=}, num_groups=1"
            )
        self.num_beams = num_beams
        self.length_penalty = length_penalty
        self.min_length = min_length
        self.no_repeat_ngram_size = no_repeat_ngram_size
        self.ignored_token_ids = [int(i) for i in ignored_token_ids]
        self.num_return_sequences = num_return_sequences
        self.return_scores = return_scores
        self.forbidden_token_ids = _as_sequences(forbidden_token_ids)
        self.num_groups = num_groups
        self.diversity_penalty = diversity_penalty
        self._beams_per_group = num_beams // num_groups
        self._kept_per_group = -(-num_return_sequences // num_groups)

    def __call__(
        self,
        next,
        prompt,
        cache=None,
        index=0,
        mask=None,
        stop_token_ids=None,
        hidden_states=None,
        model=None,
        **kwargs,
    ):
        stop_token_ids = stop_token_ids or ()
        index = ops.cast(index, "int32")
        prompt = ops.convert_to_tensor(prompt)
        if mask is None:
            mask = ops.zeros_like(prompt, dtype="bool")
        # Each group of beams of an example is one search: one row from here on.
        prompt = ops.repeat(prompt, self.num_groups, axis=0)
        mask = ops.repeat(ops.cast(mask, "bool"), self.num_groups, axis=0)
        max_length = ops.shape(prompt)[1]
        prefix_length = ops.sum(ops.cast(mask, "int32"), axis=1)
        max_new_length = max_length - prefix_length
        own = ops.arange(self._beams_per_group, dtype="int32")[None]
        start_beams = getattr(next, "start_beams", repeat_samples)
        reorder_beams = getattr(next, "reorder_beams", take_samples)

        def body(state, index):
            logits, _, cache = next(
                flatten_beams(state["token_ids"]), state["cache"], index
            )
            length = index + 1 - prefix_length
            log_probs, beams, tokens = self._select(
                state, logits, index, length, stop_token_ids
            )
            # Where the prefix dictates the token, beams stay as they are.
            forced = ops.take(mask, index[None], axis=1)
            prefix = ops.take(state["token_ids"], index[None], axis=2)[..., 0]
            log_probs = ops.where(forced, state["log_probs"], log_probs)
            beams = ops.where(forced, own, beams)
            tokens = ops.where(forced, prefix, tokens)

            is_new = ops.arange(max_length, dtype="int32") == index
            state = {
                **state,
                "token_ids": ops.where(
                    is_new,
                    tokens[..., None],
                    gather_beams(state["token_ids"], beams),
                ),
                "log_probs": log_probs,
                "has_ended": is_any_of(tokens, stop_token_ids) & ~forced,
                "cache": reorder_beams(
                    cache, flat_indices(beams, self._beams_per_group)
                ),
            }
            ended = state["has_ended"]
            state = self._keep_best(state, ended, length, max_new_length)
            return state, index + 1

        cache = start_beams(() if cache is None else cache, self.num_beams)

        state, _ = self.run_loop(
            lambda state, index: ~ops.all(state["is_done"]),
            body,
            model=model,
            loop_vars=(self._initial_state(prompt, cache), index),
            maximum_iterations=max_length - index,
        )
        # Hypotheses that are still open count as they are.
        state = self._keep_best(
            state, ~state["has_ended"], max_new_length, max_new_length
        )
        return self._outputs(state["best"])

    def _initial_state(self, prompt, cache):
        """One open beam for each search; the others follow from it."""
        zeros = ops.zeros_like(prompt[:, :1], dtype="float32")
        beams = [[0.0] + [NO_HYPOTHESIS] * (self._beams_per_group - 1)]
        log_probs = zeros + ops.array(beams, dtype="float32")
        nothing = ops.repeat(zeros + NO_HYPOTHESIS, self._kept_per_group, 1)
        best_ids = ops.repeat(prompt[:, None], self._kept_per_group, 1)
        return {
            # Beams that are extended, `(searches, beams, ...)`.
            "token_ids": ops.repeat(prompt[:, None], self._beams_per_group, 1),
            "log_probs": log_probs,
            "has_ended": ops.zeros_like(log_probs, dtype="bool"),
            "cache": cache,
            # The best finished hypotheses, `(searches, kept, ...)`.
            "best": {
                "decoder_token_ids": best_ids,
                "scores": nothing,
                "log_probs": nothing,
            },
            "is_done": ops.zeros_like(prompt[:, 0], dtype="bool"),
        }

    def _select(self, state, logits, index, length, stop_token_ids):
        """The best continuations: log-probabilities, beams and tokens, each of
        shape `(searches, beams)`.
        """
        num_groups, num_beams = self.num_groups, self._beams_per_group
        vocabulary_size = logits.shape[-1]
        logits = ops.cast(logits, "float32") / self.temperature
        # Only the scores of the beams are normalized: the top-k of the logits
        # is that of the log-probabilities, and the vocabulary is large.
        normalizer = ops.logsumexp(logits, axis=-1)
        running = state["log_probs"] - ops.reshape(normalizer, (-1, num_beams))
        running += ops.where(state["has_ended"], FORBIDDEN_SCORE, 0.0)
        logits = self._apply_rules(
            logits,
            flatten_beams(state["token_ids"]),
            index,
            ops.repeat(length, num_beams, axis=0),
            stop_token_ids,
        )
        # Splitting one group copies nothing, slicing would.
        by_group = (
            ops.split(ops.reshape(x, (-1, num_groups, *shape)), num_groups, 1)
            for x, shape in (
                (logits, (num_beams, vocabulary_size)),
                (running, (num_beams, 1)),
                (state["is_done"], (1, 1)),
            )
        )
        penalty = None
        choices = []
        for logits, running, is_done in zip(*by_group):
            choice = top_continuations(logits, running, penalty)
            choices.append(choice)
            if self.diversity_penalty:
                tokens = ops.one_hot(choice[2], vocabulary_size)
                counts = ops.sum(tokens, axis=2, keepdims=True)
                # Groups whose search has stopped do not count.
                counts *= ops.where(is_done, 0.0, self.diversity_penalty)
                penalty = counts if penalty is None else penalty + counts
        log_probs, beams, tokens = (
            ops.reshape(ops.concatenate(x, axis=1), (-1, num_beams))
            for x in zip(*choices)
        )
        return log_probs, beams, ops.cast(tokens, state["token_ids"].dtype)

    def _apply_rules(self, logits, token_ids, index, length, stop_token_ids):
        vocabulary_size = logits.shape[-1]
        if self.no_repeat_ngram_size:
            logits += repeated_ngram_penalty(
                token_ids,
                index,
                index + 1 - length,
                self.no_repeat_ngram_size,
                vocabulary_size,
                self.ignored_token_ids,
            )
        if self.forbidden_token_ids:
            logits += forbidden_token_penalty(
                token_ids, index, self.forbidden_token_ids, vocabulary_size
            )
        if self.min_length and stop_token_ids:
            logits += early_stop_penalty(
                length, self.min_length, stop_token_ids, vocabulary_size
            )
        return logits

    def _keep_best(self, state, is_candidate, length, longest):
        """Ranks candidate beams among the hypotheses that are kept, and notes
        which searches are done.
        """
        is_candidate = is_candidate & ~state["is_done"][:, None]
        scores = state["log_probs"] / self._length_divisor(length)[:, None]
        candidates = {
            "decoder_token_ids": state["token_ids"],
            "scores": ops.where(is_candidate, scores, NO_HYPOTHESIS),
            "log_probs": state["log_probs"],
        }
        candidates = {
            name: ops.concatenate([state["best"][name], x], axis=1)
            for name, x in candidates.items()
        }
        best = best_of(candidates, self._kept_per_group)
        # Log-probabilities only fall, and no divisor exceeds that of the
        # longest text, which bounds what an open beam can reach.
        open_log_probs = ops.where(
            state["has_ended"], NO_HYPOTHESIS, state["log_probs"]
        )
        bound = ops.max(open_log_probs, axis=1)
        bound = bound / self._length_divisor(longest)
        is_settled = best["scores"][:, -1] >= bound
        all_ended = ops.all(state["has_ended"], axis=1)
        is_done = state["is_done"] | all_ended | is_settled
        return {**state, "best": best, "is_done": is_done}

    def _length_divisor(self, length):
        length = ops.cast(length, "float32")
        return ops.power((5.0 + length) / 6.0, self.length_penalty)

    def _outputs(self, hypotheses):
        """The best hypotheses of all groups of an example."""
        num_kept = self.num_groups * self._kept_per_group
        outputs = best_of(
            {
                name: ops.reshape(x, (-1, num_kept, *ops.shape(x)[2:]))
                for name, x in hypotheses.items()
            },
            self.num_return_sequences,
        )
        if self.num_return_sequences == 1:
            outputs = {name: x[:, 0] for name, x in outputs.items()}
        return outputs if self.return_scores else outputs["decoder_token_ids"]

    def get_config(self):
        config = super().get_config()
        for name in inspect.signature(BeamSearchSampler).parameters:
            if name != "kwargs":
                config[name] = getattr(self, name)
        return config


def _as_sequences(forbidden_token_ids):
    """Ids and sequences of ids as a list of lists.

    >>> _as_sequences([7, (8, 9)])
    [[7], [8, 9]]
    """
    sequences = [np.atleast_1d(entry).tolist() for entry in forbidden_token_ids]
    for sequence in sequences:
        if not sequence or not all(type(i) is int and i >= 0 for i in sequence):
            raise ValueError(
                "`forbidden_token_ids` must hold ids, or sequences of at least "
                f"one id, of the tokenizer. Received: {forbidden_token_ids=}"
            )
    return sequences
