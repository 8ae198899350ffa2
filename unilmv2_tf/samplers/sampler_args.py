"""Sampler options of the commands, and samplers by name."""

import dataclasses
import shlex
from typing import Literal

_NAMES = "beam contrastive greedy random speculative top_k top_p".split()


def get_sampler(identifier):
    """Returns the sampler that a name or a configuration stands for.

    `"beam"` is `unilmv2_tf.BeamSearchSampler`, which keeps finished hypotheses.
    KerasHub's beam search does not; pass an instance of it to use it.

    Args:
        identifier: a `keras_hub.samplers.Sampler`, which is returned as it is;
            its serialized configuration; or one of the names `"beam"`,
            `"contrastive"`, `"greedy"`, `"random"`, `"speculative"`, `"top_k"`
            and `"top_p"`.

    Returns:
        A `keras_hub.samplers.Sampler`.

    Raises:
        ValueError: if there is no sampler of that name.

    Example:

    >>> from unilmv2_tf.samplers import get_sampler
    >>> get_sampler("beam").num_beams
    5
    """
    # Imported here: the command line needs the names, but no TensorFlow.
    import keras_hub

    from unilmv2_tf.samplers.beam_search_sampler import BeamSearchSampler

    if isinstance(identifier, str) and identifier not in _NAMES:
        raise ValueError(
            f"`sampler` must be one of {', '.join(_NAMES)}. Received: "
            f"sampler={identifier!r}"
        )
    if identifier == "beam":
        return BeamSearchSampler()
    return keras_hub.samplers.get(identifier)


@dataclasses.dataclass(kw_only=True)
class SamplerArgs:
    """Options of the sampler that generates texts.

    Options that are None keep the value of the sampler that they are applied
    to, usually the one saved in the preset.

    Args:
        sampler: Sampling method.
        num_beams: Number of beams of the beam search.
        length_penalty: Exponent of the length normalization in the beam search.
            Higher values prefer longer texts; 0 disables it.
        min_length: Minimum number of tokens before the end token, in the beam
            search.
        no_repeat_ngram_size: Size of the n-grams that may occur only once in a
            text, in the beam search. 0 disables the rule.
        ignored_tokens: Words that the n-gram rule does not apply to, for
            example ". ,".
        forbidden_words: Words that no text contains, nor words that begin with
            them, in the beam search. Double quotes enclose a phrase.
        num_return_sequences: Number of texts for each source, best first, with
            their scores, in the beam search.
        num_groups: Number of groups that the beams are divided into. Each
            group avoids the tokens that earlier groups chose.
        diversity_penalty: Penalty on a token for each beam of an earlier group
            that has it at the same position.
        temperature: Divisor of the logits. Above 1 makes random samplers more
            random, below 1 less.
        k: Number of most probable tokens that top_k and top_p sample from.
        p: Cumulative probability of the tokens that top_p samples from.
        seed: Seed of random samplers. 0 if neither this nor the preset sets
            it.

    Example:

    >>> from unilmv2_tf import BeamSearchSampler
    >>> from unilmv2_tf.samplers import SamplerArgs
    >>> base = BeamSearchSampler(num_beams=3, length_penalty=0.5)
    >>> sampler = SamplerArgs(num_beams=4).make_sampler(base)
    >>> sampler.num_beams, sampler.length_penalty
    (4, 0.5)
    """

    sampler: Literal["beam", "greedy", "random", "top_k", "top_p"] | None = None
    num_beams: int | None = None
    length_penalty: float | None = None
    min_length: int | None = None
    no_repeat_ngram_size: int | None = None
    ignored_tokens: str | list[str] | None = None
    forbidden_words: str | list[str] | None = None
    num_return_sequences: int | None = None
    num_groups: int | None = None
    diversity_penalty: float | None = None
    temperature: float | None = None
    k: int | None = None
    p: float | None = None
    seed: int | None = None

    def make_sampler(self, base, tokenizer=None):
        """Returns a new sampler: `base`, or another class, with these options.

        Args:
            base: the `keras_hub.samplers.Sampler` of the model.
            tokenizer: a `UniLMv2Tokenizer`, for `ignored_tokens` and
                `forbidden_words`. Defaults to `None`.

        Returns:
            A sampler. A random one has a seed; a beam search returns scores if
            it returns several sequences.

        Raises:
            ValueError: if the sampler has no such option, a value is out of
                range, or the vocabulary cannot spell a word.
        """
        default = base if self.sampler is None else get_sampler(self.sampler)
        # The other options of the same sampler are kept.
        default = base if type(default) is type(base) else default
        config = default.get_config()
        for name, value in self._arguments(tokenizer).items():
            if name not in config:
                names = ("beam", "greedy", "random", "top_k", "top_p")
                others = [
                    x for x in names if name in get_sampler(x).get_config()
                ]
                preset = f"{type(default).__name__}, the sampler of the preset"
                raise ValueError(
                    f"`{name}` is not an option of {self.sampler or preset}. "
                    f"Received: {name}={value}. Remove it, or use --sampler "
                    f"{' or '.join(others)}"
                )
            config[name] = value
        if config.get("seed", 0) is None:
            config["seed"] = 0
        if "return_scores" in config:
            config["return_scores"] = config["num_return_sequences"] > 1
        return type(default).from_config(config)

    def _arguments(self, tokenizer):
        """The options that are set, as arguments of a sampler."""
        arguments = {
            # `asdict` would copy, and take fields of subclasses along.
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(SamplerArgs)
            if getattr(self, field.name) is not None
        }
        arguments.pop("sampler", None)
        ignored = arguments.pop("ignored_tokens", None)
        if ignored is not None:
            arguments["ignored_token_ids"] = [
                token_id
                for word in _token_ids("ignored_tokens", ignored, tokenizer)
                for token_id in word
            ]
        forbidden = arguments.pop("forbidden_words", None)
        if forbidden is not None:
            arguments["forbidden_token_ids"] = _token_ids(
                "forbidden_words", forbidden, tokenizer
            )
        return arguments


# Default of the commands: the sampler that is saved in the preset.
PRESET_SAMPLER = SamplerArgs()


def _token_ids(option, words, tokenizer):
    """The token ids of each word, special tokens included."""
    sequences = []
    for word in _split_words(words):
        if word in tokenizer.get_vocabulary():
            sequences.append([tokenizer.token_to_id(word)])
            continue
        token_ids = [int(token_id) for token_id in tokenizer(word)]
        if not token_ids or tokenizer.unk_token_id in token_ids:
            raise ValueError(
                f"`{option}` must be words that the vocabulary can spell. "
                f"Received: {word!r}"
            )
        sequences.append(token_ids)
    return sequences


def _split_words(words):
    """Words of an option: a list, or a string with phrases in double quotes.

    >>> _split_words('don\\'t "new york" [UNK]')
    ["don't", 'new york', '[UNK]']
    """
    if isinstance(words, list):
        return words
    lexer = shlex.shlex(words, posix=True)
    lexer.whitespace_split = True
    lexer.quotes, lexer.commenters, lexer.escape = '"', "", ""
    try:
        return list(lexer)
    except ValueError:
        raise ValueError(
            f"A quotation mark is not closed. Received: {words!r}. Separate "
            "words by spaces, or pass a list"
        ) from None
