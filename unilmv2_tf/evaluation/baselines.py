"""Trivial methods, whose scores a model has to beat."""

from unilmv2_tf.optional_imports import optional_import


class LeadBaseline:
    """Predicts the first words of the source, the baseline of summaries.

    Args:
        num_words: int. The number of words. Defaults to `None`: the mean
            number of words of the targets that `fit` gets.

    Raises:
        ValueError: if `num_words` is not positive.

    Example:

    >>> from unilmv2_tf.evaluation import LeadBaseline
    >>> LeadBaseline(num_words=3).predict(["It adds two numbers."])
    ['It adds two']
    """

    def __init__(self, num_words: int | None = None):
        if num_words is not None and num_words < 1:
            raise ValueError(
                "`num_words` must be a positive integer or None. "
                f"Received: num_words={num_words}"
            )
        self.num_words = num_words

    def fit(self, pairs):
        _, targets = _read_pairs(pairs)
        if self.num_words is None:
            words = sum(len(target.split()) for target in targets)
            self.num_words = max(1, round(words / len(targets)))
        return self

    def predict(self, sources):
        if self.num_words is None:
            raise ValueError(
                "Call `fit` before `predict`, or set `num_words`. Received: "
                "num_words=None"
            )
        return [
            " ".join(source.split()[: self.num_words]) for source in sources
        ]


class NearestNeighborBaseline:
    """Predicts the target of the most similar source of the training pairs.

    Similarity is the cosine of TF-IDF vectors of words and pairs of words.

    Example:

    >>> from unilmv2_tf.evaluation import NearestNeighborBaseline
    >>> baseline = NearestNeighborBaseline()
    >>> pairs = [("the axis to sum over", "axis"), ("a random seed", "seed")]
    >>> baseline.fit(pairs).predict(["an integer, the random seed"])
    ['seed']
    """

    def fit(self, pairs):
        neighbors = optional_import("sklearn.neighbors", "metrics")
        sources, self.targets = _read_pairs(pairs)
        text = optional_import("sklearn.feature_extraction.text", "metrics")
        self.vectorizer = text.TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+"
        )
        self.index = neighbors.NearestNeighbors(
            n_neighbors=1, metric="cosine", algorithm="brute"
        ).fit(self.vectorizer.fit_transform(sources))
        return self

    def predict(self, sources):
        if not sources:
            return []
        vectors = self.vectorizer.transform(sources)
        nearest = self.index.kneighbors(vectors, return_distance=False)
        return [self.targets[position] for position in nearest[:, 0]]


def _read_pairs(pairs):
    """Lists of the sources and the targets of training examples."""
    # A dataset has this method; TensorFlow need not be imported to know.
    if hasattr(pairs, "as_numpy_iterator"):
        pairs = [
            (
                record["encoder_text"].decode("utf-8"),
                record["decoder_text"].decode("utf-8"),
            )
            for record in pairs.as_numpy_iterator()
        ]
    pairs = list(pairs)
    if not pairs:
        raise ValueError(
            "`pairs` must hold at least one pair of texts. Received: none"
        )
    sources, targets = zip(*pairs)
    return sources, targets
