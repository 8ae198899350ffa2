"""What trivial methods reach: the scores that a model has to beat."""

import collections


class MajorityBaseline:
    """Predicts the most common target or label, whatever the source.

    Example:

    >>> baseline = MajorityBaseline()
    >>> baseline.fit([("a", "x"), ("b", "y"), ("c", "y")]).predict(["a", "d"])
    ['y', 'y']
    """

    def fit(self, pairs):
        """Counts the targets.

        Args:
            pairs: a `tf.data.Dataset` of `{"encoder_text", "decoder_text"}`
                or of labelled texts, or an iterable of pairs.

        Returns:
            The baseline itself.

        Raises:
            ValueError: if there are no pairs.
        """
        _, targets = read_pairs(pairs)
        # Of equally common ones the first, in every run.
        self.target = collections.Counter(targets).most_common(1)[0][0]
        return self

    def predict(self, sources):
        """Repeats the most common target.

        Args:
            sources: list of strings, or of pairs of them.

        Returns:
            A list of as many targets.
        """
        return [self.target for _ in sources]


class NearestNeighbourBaseline:
    """Predicts the target of the most similar source of the training pairs.

    Similarity is the cosine of TF-IDF vectors of words and pairs of words, by
    scikit-learn.

    Example:

    >>> baseline = NearestNeighbourBaseline()
    >>> pairs = [("the axis to sum over", "axis"), ("a random seed", "seed")]
    >>> baseline.fit(pairs).predict(["an integer, the random seed"])
    ['seed']
    """

    def fit(self, pairs):
        """Indexes the sources.

        Args:
            pairs: a `tf.data.Dataset` of `{"encoder_text", "decoder_text"}`,
                or an iterable of pairs of strings.

        Returns:
            The baseline itself.

        Raises:
            ValueError: if there are no pairs.
        """
        # Imported here: scikit-learn takes seconds to load.
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.neighbors import NearestNeighbors

        sources, self.targets = read_pairs(pairs)
        self.vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+"
        )
        vectors = self.vectorizer.fit_transform(sources)
        self.index = NearestNeighbors(
            n_neighbors=1, metric="cosine", algorithm="brute"
        ).fit(vectors)
        return self

    def predict(self, sources):
        """Looks up the nearest source of each given one.

        Args:
            sources: list of strings.

        Returns:
            A list of as many strings.
        """
        sources = list(sources)
        if not sources:
            return []
        vectors = self.vectorizer.transform(sources)
        nearest = self.index.kneighbors(vectors, return_distance=False)
        return [self.targets[position] for position in nearest[:, 0]]


class LeadBaseline:
    """Predicts the first words of the source: the baseline of summaries.

    Args:
        num_words: int. How many words are taken. Defaults to `None`: as many
            as targets have in the mean, learned by `fit`.

    Raises:
        ValueError: if `num_words` is not positive.

    Example:

    >>> LeadBaseline(num_words=3).predict(["It adds two numbers."])
    ['It adds two']
    """

    def __init__(self, num_words=None):
        if num_words is not None and num_words < 1:
            raise ValueError(
                "`num_words` must be a positive integer or None. "
                f"Received: num_words={num_words}"
            )
        self.num_words = num_words

    def fit(self, pairs):
        """Measures how long targets are, unless `num_words` was given.

        Args:
            pairs: a `tf.data.Dataset` of `{"encoder_text", "decoder_text"}`,
                or an iterable of pairs of strings.

        Returns:
            The baseline itself.

        Raises:
            ValueError: if there are no pairs.
        """
        _, targets = read_pairs(pairs)
        if self.num_words is None:
            words = sum(len(target.split()) for target in targets)
            self.num_words = max(1, round(words / len(targets)))
        return self

    def predict(self, sources):
        """Takes the first words of each source.

        Args:
            sources: list of strings.

        Returns:
            A list of as many strings.

        Raises:
            ValueError: if the number of words is neither given nor learned.
        """
        if self.num_words is None:
            raise ValueError(
                "Call `fit` before `predict`, or give `num_words`. Received: "
                "num_words=None"
            )
        return [
            " ".join(source.split()[: self.num_words]) for source in sources
        ]


def read_pairs(pairs):
    """Sources and targets of training examples.

    Args:
        pairs: a `tf.data.Dataset` as `load_pairs` or `load_labelled` returns
            it, or an iterable of pairs.

    Returns:
        Two lists: sources, strings or pairs of strings; and targets, strings,
        or floats for values.

    Raises:
        ValueError: if there are no pairs.

    Example:

    >>> read_pairs([("a", "x"), (("b", "c"), "y")])
    (['a', ('b', 'c')], ['x', 'y'])
    """
    # A dataset has this method; TensorFlow need not be imported to know.
    if hasattr(pairs, "as_numpy_iterator"):
        pairs = map(_pair_of_record, pairs.as_numpy_iterator())
    pairs = list(pairs)
    if not pairs:
        raise ValueError(
            "`pairs` must hold at least one pair of texts. Received: none"
        )
    sources, targets = zip(*pairs)
    return list(sources), list(targets)


def _pair_of_record(record):
    if not isinstance(record, tuple):
        source, target = record["encoder_text"], record["decoder_text"]
        return source.decode("utf-8"), target.decode("utf-8")
    texts, label = record
    label = label.decode("utf-8") if isinstance(label, bytes) else float(label)
    if "text" in texts:
        return texts["text"].decode("utf-8"), label
    pair = texts["text_a"].decode("utf-8"), texts["text_b"].decode("utf-8")
    return pair, label
