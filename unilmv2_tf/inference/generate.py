from typing import Literal


def generate(
    preset: str,
    input: str = "-",
    output: str = "-",
    overwrite: bool = False,
    sampler: Literal["beam", "greedy", "random", "top_k", "top_p"]
    | None = None,
    num_beams: int | None = None,
    length_penalty: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    no_repeat_ngram_size: int | None = None,
    ignored_tokens: str | list[str] | None = None,
    forbidden_words: str | list[str] | None = None,
    num_return_sequences: int | None = None,
    num_groups: int | None = None,
    diversity_penalty: float | None = None,
    temperature: float | None = None,
    k: int | None = None,
    p: float | None = None,
    seed: int | None = None,
    prefix: str = "",
    batch_size: int = 32,
    precision: Literal["float32", "bfloat16", "mixed_bfloat16", "float16"]
    | None = None,
):
    """Generates a text for each text of a file, or of stdin.

    Sources that are longer than the model's rows are cut, and counted. What is
    not set is as in the preset. The answers of beam and greedy depend on
    nothing but their source; those of random, top_k and top_p on the seed, the
    batch size and the sources that are computed together (8 batches of a file,
    what has come of a stream): the same command on the same file gives the
    same answers.

    An interrupted run is gone on with by the same command. Until all answers
    are there, they are in OUTPUT.part.

    Args:
        preset: The folder of a model that UniLMv2Seq2SeqLM.save_to_preset
            wrote.
        input: The texts: .txt with one a line, .tsv with one in the first
            column, .jsonl with one under src, a string or a list of
            WordPieces; or - for stdin, where each line is answered as soon as
            no other follows at once.
        output: The answers: .txt with one a line, .jsonl with the line of the
            source and the prediction; or - for stdout.
        overwrite: Whether to replace an output that is there, finished or not.
        sampler: How tokens are chosen.
        num_beams: Beams of a beam search.
        length_penalty: Above 0 longer texts score higher in a beam search.
        min_length: The fewest tokens of a text, in a beam search.
        max_length: The most tokens of a text, its end included.
        no_repeat_ngram_size: No n tokens occur twice in a text, in a beam
            search.
        ignored_tokens: Words that this rule does not apply to, for example
            ". ,".
        forbidden_words: Words, and in double quotes texts of several, that no
            text has, nor words that begin with them; in a beam search.
        num_return_sequences: Texts for each source, best first, with their
            scores; in a beam search, and to stdout or .jsonl.
        num_groups: Into how many groups the beams are divided, each of which
            avoids what the ones before it chose; for texts that differ.
        diversity_penalty: How much it avoids it: what a token costs for each
            beam of an earlier group that has it at the same place.
        temperature: Above 1 makes choices more random, below 1 less.
        k: The number of tokens that are drawn from.
        p: The probability of the tokens that are drawn from, together.
        seed: Of what is random; 0 if neither it nor the preset's is set.
        prefix: How every text begins.
        batch_size: Texts that are computed at once.
        precision: What is computed in.

    Raises:
        ValueError: if a setting is out of range, the preset holds another
            model, a line of the input is wrong, or the output is there.
        FileNotFoundError: if there is no such file.

    Example:

    ```python
    generate("run/preset", "articles.txt", "summaries.txt", num_beams=4)
    ```

    Reference:
        Bao et al., 2020, section 3.4 and table 10.
    """
    settings = {
        name: value
        for name, value in locals().items()
        if name not in ("preset", "input", "output", "overwrite")
    }
    # TensorFlow takes seconds to import, help should not.
    from unilmv2_tf.inference.run import run

    run(preset, input, output, overwrite, settings)
