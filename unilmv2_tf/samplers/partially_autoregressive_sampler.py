import math

import keras
import keras_hub
from keras import ops

from unilmv2_tf.samplers.token_rules import is_any_of


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class PartiallyAutoregressiveSampler(keras_hub.samplers.Sampler):
    """Greedy decoding that settles up to `block_size` tokens in a pass.

    A model that predicts spans at once can guess the tokens that follow, and
    verify in the same pass what it guessed before. A guess stands if it is
    what decoding one by one would have chosen after the tokens before it; at
    the first that is not, that choice takes its place, so that each pass
    settles one token at least. With `min_confidence=1` the result is therefore
    that of greedy decoding, token for token, but for rounding, however bad the
    guesses are; good ones save passes.

    With a lower `min_confidence` a guess stands as well if it is almost as
    probable as the best token: fewer passes, and texts that greedy decoding
    may not have found.

    Every sample of a batch goes at its own pace, and the loop ends with the
    last one.

    Args:
        block_size: int. How many tokens a pass settles at most. A pass
            computes three times as many. Defaults to `4`.
        min_confidence: float, above 0 and at most 1. A guess stands if its
            probability is at least so many times that of the most probable
            token. Defaults to `1.0`.
        return_num_passes: bool. Whether to return how many passes each text
            took. Defaults to `False`.
        temperature: float. What logits are divided by before they are
            compared; of no effect if `min_confidence` is 1. Defaults to `1.0`.

    Call arguments:
        next: an object with the methods `start_blocks` and `block_step` of a
            `unilmv2_tf.models.BlockDecoder`.
        prompt: int tensor of shape `(batch, max_length)`.
        cache: the cache of an empty target.
        index: int. The tokens before it are those of the prompt, as if
            `mask` were True there.
        mask: bool tensor of shape `(batch, max_length)`, True where the prompt
            dictates the token.
        stop_token_ids: tuple of ids that end a text, or `None`.

    Returns:
        The token ids, of shape `(batch, max_length)`: behind the end of a text
        the prompt stands. With `return_num_passes` a dict of
        `decoder_token_ids` and `num_passes`, of shape `(batch,)`.

    Raises:
        ValueError: if an argument is out of range, or `next` takes tokens one
            by one only.

    Example:

    >>> from unilmv2_tf import PartiallyAutoregressiveSampler
    >>> from unilmv2_tf import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> task = UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone.from_preset("unilmv2_tiny", vocabulary_size=99),
    ...     pseudo_token_id=4)
    >>> task.compile(sampler=PartiallyAutoregressiveSampler(block_size=4))

    Reference:
        Bao et al., 2020, section 3; Stern et al., 2018 (blockwise parallel
        decoding).
    """

    def __init__(
        self,
        block_size=4,
        min_confidence=1.0,
        return_num_passes=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(block_size, int) or block_size < 1:
            raise ValueError(
                "`block_size` must be a positive integer. Received: "
                f"block_size={block_size}"
            )
        if not 0 < min_confidence <= 1:
            raise ValueError(
                "`min_confidence` must be above 0 and at most 1, the share of "
                "the best token's probability that a guess needs. Received: "
                f"min_confidence={min_confidence}"
            )
        self.block_size = block_size
        self.min_confidence = min_confidence
        self.return_num_passes = return_num_passes

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
        if not hasattr(next, "block_step"):
            raise ValueError(
                "`next` must have the methods `start_blocks` and `block_step`, "
                "as that of `UniLMv2Seq2SeqLM` has: it has to predict several "
                f"tokens at once. Received: next={next}. Use another sampler, "
                'for example "greedy"'
            )
        prompt = ops.convert_to_tensor(prompt)
        max_length = ops.shape(prompt)[1]
        is_before = ops.arange(max_length, dtype="int32") < index
        is_forced = ops.zeros_like(prompt, dtype="bool") | is_before
        if mask is not None:
            is_forced = is_forced | ops.cast(mask, "bool")
        state = self.initial_state(
            prompt, is_forced, next.start_blocks(cache, self.block_size)
        )

        def cond(state):
            return ops.logical_not(ops.all(state["is_done"]))

        def body(state):
            verified, drafted, new_cache = next.block_step(
                state["window"],
                state["cache"],
                state["start"],
                state["num_guesses"],
            )
            return (
                self.step(
                    {**state, "cache": new_cache},
                    verified,
                    drafted,
                    prompt,
                    is_forced,
                    stop_token_ids,
                ),
            )

        (state,) = self.run_loop(
            cond,
            body,
            model=model,
            loop_vars=(state,),
            maximum_iterations=max_length,
        )
        if self.return_num_passes:
            return {
                "decoder_token_ids": state["token_ids"],
                "num_passes": state["num_passes"],
            }
        return state["token_ids"]

    def initial_state(self, prompt, is_forced, cache):
        """The state before the first pass.

        Args:
            prompt: int tensor of shape `(batch, max_length)`.
            is_forced: bool tensor of shape `(batch, max_length)`, True where
                the prompt dictates the token.
            cache: what `start_blocks` returned.

        Returns:
            A dict: `token_ids` `(batch, max_length)`, settled up to `start`
            `(batch,)`; the `window` `(batch, block_size)`, which begins with
            the token at `start`, -1 for none, and has `num_guesses` `(batch,)`
            guesses; `is_done` and `num_passes` `(batch,)`; the `cache`.
        """
        nothing = ops.zeros_like(prompt[:, 0], dtype="int32")
        offsets = ops.arange(self.block_size, dtype="int32")[None]
        start = nothing - 1
        # All that is known of the beginning is what is dictated.
        forced = self._at(is_forced, start[:, None] + 1 + offsets[:, :-1])
        num_forced = ops.sum(ops.cumprod(ops.cast(forced, "int32"), 1), axis=1)
        return {
            "token_ids": prompt,
            "start": start,
            "window": self._at(prompt, start[:, None] + offsets),
            "num_guesses": ops.cast(num_forced, "int32"),
            "is_done": ops.zeros_like(nothing, dtype="bool"),
            "num_passes": nothing,
            "cache": cache,
        }

    def step(self, state, verified, drafted, prompt, is_forced, stop_token_ids):
        """Settles what a pass has verified, and fills the next window.

        Args:
            state: as `initial_state` returns it.
            verified: float tensor of shape `(batch, block_size,
                vocabulary_size)`, the logits at `start + 1` and after it.
            drafted: float tensor of the same shape, the logits at `start +
                num_guesses + 1` and after it.
            prompt: as for `initial_state`.
            is_forced: as for `initial_state`.
            stop_token_ids: tuple of ids, or `None`.

        Returns:
            The next state.
        """
        start = state["start"][:, None]
        num_accepted, tokens, forced = self._tokens_after(
            state, verified, drafted, prompt, is_forced
        )
        offsets = ops.arange(1, self.block_size + 1, dtype="int32")
        is_end = is_any_of(tokens[:, : self.block_size], stop_token_ids)
        is_end = is_end & ~forced[:, : self.block_size]
        is_settled = offsets <= num_accepted + 1
        # Up to the first end, with it.
        num_ends = ops.cumsum(ops.cast(is_end & is_settled, "int32"), axis=1)
        is_text = is_settled & (num_ends - ops.cast(is_end, "int32") <= 0)
        is_text = is_text & ~state["is_done"][:, None]
        num_new = ops.sum(ops.cast(is_text, "int32"), axis=1)

        places = ops.arange(ops.shape(prompt)[1], dtype="int32")[None]
        is_new = (places > start) & (places <= start + num_new[:, None])
        token_ids = ops.where(
            is_new, self._at(tokens, places - start - 1), state["token_ids"]
        )
        has_ended = ops.any(is_end & is_text, axis=1)
        new_start = state["start"] + num_new
        is_done = state["is_done"] | has_ended
        is_done = is_done | (new_start >= ops.shape(prompt)[1] - 1)
        return {
            "token_ids": token_ids,
            # What is done stays where it is, so that its slots do not run out.
            "start": ops.where(is_done, state["start"], new_start),
            "window": self._at(tokens, num_accepted + offsets - 1),
            "num_guesses": ops.full_like(
                state["num_guesses"], self.block_size - 1
            ),
            "is_done": is_done,
            "num_passes": state["num_passes"]
            + ops.cast(~state["is_done"], "int32"),
            "cache": state["cache"],
        }

    def _tokens_after(self, state, verified, drafted, prompt, is_forced):
        """What now seems to follow the token at `start`.

        Returns:
            A tuple of how many guesses stand, `(batch, 1)`, of the next `2 *
            block_size` tokens, and of whether they are dictated. Behind the
            guesses that stand there is one more token that is certain.
        """
        dtype = prompt.dtype
        best = ops.cast(ops.argmax(verified, axis=-1), dtype)
        drafts = ops.cast(ops.argmax(drafted, axis=-1), dtype)
        num_guesses = state["num_guesses"][:, None]
        offsets = ops.arange(1, 2 * self.block_size + 1, dtype="int32")[None]
        places = state["start"][:, None] + offsets
        forced = self._at(is_forced, places) & (places < ops.shape(prompt)[1])
        num_most = self.block_size - 1
        guesses = state["window"][:, 1:]
        stands = self._stands(guesses, best[:, :num_most], verified)
        stands = stands | forced[:, :num_most]
        stands = stands & (offsets[:, :num_most] <= num_guesses)
        num_accepted = ops.cumprod(ops.cast(stands, "int32"), axis=1)
        num_accepted = ops.sum(num_accepted, axis=1, keepdims=True)
        num_accepted = ops.cast(num_accepted, "int32")

        tokens = ops.where(
            offsets <= num_guesses + 1,
            self._at(best, offsets - 1),
            self._at(drafts, offsets - num_guesses - 1),
        )
        if num_most:
            tokens = ops.where(
                offsets <= num_accepted,
                self._at(guesses, offsets - 1),
                tokens,
            )
        tokens = ops.where(forced, self._at(prompt, places), tokens)
        return num_accepted, tokens, forced

    def _stands(self, guesses, best, verified):
        stands = guesses == best
        if self.min_confidence == 1 or self.block_size == 1:
            return stands
        logits = ops.cast(verified[:, : self.block_size - 1], "float32")
        chosen = ops.take_along_axis(
            logits, ops.cast(guesses, "int32")[..., None], axis=2
        )
        # Logits tell how many times as probable one token is as another.
        lead = (ops.max(logits, axis=2) - chosen[..., 0]) / self.temperature
        return stands | (lead <= -math.log(self.min_confidence))

    def _at(self, x, places):
        """Values at places of each row; at the ends where there are none."""
        places = ops.clip(places, 0, ops.shape(x)[1] - 1)
        places = places + ops.zeros_like(x[:, :1], dtype="int32")
        return ops.take_along_axis(x, places, axis=1)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "block_size": self.block_size,
                "min_confidence": self.min_confidence,
                "return_num_passes": self.return_num_passes,
            }
        )
        return config
