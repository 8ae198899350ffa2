"""From flags to a sampler."""

import inspect
import shlex

import keras_hub
import numpy as np

from unilmv2_tf.samplers import BeamSearchSampler

SAMPLERS = {
    "beam": BeamSearchSampler,
    "greedy": keras_hub.samplers.GreedySampler,
    "random": keras_hub.samplers.RandomSampler,
    "top_k": keras_hub.samplers.TopKSampler,
    "top_p": keras_hub.samplers.TopPSampler,
}


def make_sampler(base, name=None, **options):
    """Changes a sampler where flags say so.

    Args:
        base: a `keras_hub.samplers.Sampler`, that of the model.
        name: string. The sampler to use, a key of `SAMPLERS`. Defaults to
            `None`: one such as `base`.
        **options: arguments of the sampler. Those that are `None`, and those
            that are not named, stay as they are in `base`, if it is of the
            same class.

    Returns:
        A new sampler. One that draws has a seed; a beam search gives scores if
        it returns several sequences.

    Raises:
        ValueError: if the sampler has no such argument, or it is out of range.

    Example:

    >>> from unilmv2_tf import BeamSearchSampler
    >>> base = BeamSearchSampler(num_beams=3, length_penalty=0.5)
    >>> sampler = make_sampler(base, num_beams=4)
    >>> sampler.num_beams, sampler.length_penalty
    (4, 0.5)
    >>> make_sampler(base, "top_k", k=2).seed
    0
    """
    cls = type(base) if name is None else SAMPLERS[name]
    config = base.get_config() if cls is type(base) else {}
    accepted = _argument_names(cls)
    for option, value in options.items():
        if value is None:
            continue
        if option not in accepted:
            others = [
                other
                for other, its_class in SAMPLERS.items()
                if option in _argument_names(its_class)
            ]
            raise ValueError(
                f"`{option}` is no setting of {name or cls.__name__}"
                f"{' ' if name else ', the sampler of the preset'}. Received: "
                f"{option}={value}. Leave it out, or choose --sampler "
                f"{' or '.join(others)}"
            )
        config[option] = value
    if "seed" in accepted and config.get("seed") is None:
        config["seed"] = 0
    if cls is BeamSearchSampler:
        config["return_scores"] = config.get("num_return_sequences", 1) > 1
    return cls(**config)


def restart(sampler, index):
    """Sets the random numbers of a sampler to a function of seed and index.

    Args:
        sampler: a `keras_hub.samplers.Sampler`; one that doesn't draw stays as
            it is.
        index: int, not negative. The number of the first text.

    Example:

    >>> import keras_hub
    >>> sampler = keras_hub.samplers.RandomSampler(seed=1)
    >>> for index in (0, 32, 0):
    ...     restart(sampler, index)
    ...     print(sampler.variables[0].numpy().tolist())
    [1835504127, 1731038949]
    [...]
    [1835504127, 1731038949]
    """
    for place, state in enumerate(sampler.variables):
        seeds = np.random.SeedSequence([sampler.seed, index, place])
        state.assign(seeds.generate_state(2))


def split_words(words):
    """The words that a flag or a settings file names.

    Args:
        words: a list of strings, or a string of words separated by spaces, of
            which double quotes hold several together; or `None`.

    Returns:
        A list of strings.

    Raises:
        ValueError: if a quote is not closed.

    Example:

    >>> split_words('don\\'t "new york" [UNK]')
    ["don't", 'new york', '[UNK]']
    """
    if words is None or isinstance(words, list):
        return words or []
    lexer = shlex.shlex(words, posix=True)
    lexer.whitespace_split = True
    lexer.quotes, lexer.commenters, lexer.escape = '"', "", ""
    try:
        return list(lexer)
    except ValueError:
        raise ValueError(
            f"A quotation mark is not closed. Received: {words!r}. Words are "
            "separated by spaces; in a settings file they may be a list"
        ) from None


def token_ids_of(word, tokenizer, flag):
    """The tokens of a word that a flag names.

    Args:
        word: string. A token of the vocabulary, special ones included, or a
            text that the tokenizer takes apart.
        tokenizer: a `UniLMv2Tokenizer`.
        flag: string, for the error.

    Returns:
        A tuple of ids, not empty.

    Raises:
        ValueError: if the vocabulary cannot spell the word.

    Example:

    >>> from unilmv2_tf import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fox", "##es"])
    >>> token_ids_of("Foxes", tokenizer, "forbidden_words")
    (5, 6)
    >>> token_ids_of("[UNK]", tokenizer, "forbidden_words")
    (1,)
    """
    if word in tokenizer.get_vocabulary():
        return (tokenizer.token_to_id(word),)
    token_ids = tuple(int(token_id) for token_id in tokenizer(word))
    if not token_ids or tokenizer.unk_token_id in token_ids:
        raise ValueError(
            f"`{flag}` must be words that the vocabulary can spell. Received: "
            f"{word!r}"
        )
    return token_ids


def _argument_names(cls):
    return {
        name
        for parent in cls.__mro__[:-1]
        for name in inspect.signature(parent.__init__).parameters
    } - {"self", "args", "kwargs"}
