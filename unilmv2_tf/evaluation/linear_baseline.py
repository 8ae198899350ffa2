"""What a linear model over words reaches in classification and regression."""

from unilmv2_tf.evaluation.baselines import read_pairs


class LinearBaseline:
    """Predicts labels from words and pairs of words, by scikit-learn.

    TF-IDF vectors go into a logistic regression, trained by stochastic
    gradient descent, or where labels are floats into a ridge regression. Of
    pairs, both texts are vectors, and so are their absolute difference and
    their product.

    Args:
        seed: int. The seed of the order of examples. Defaults to `0`.

    Example:

    >>> baseline = LinearBaseline()
    >>> examples = [("a good film", "yes"), ("a bad film", "no")]
    >>> baseline.fit(examples).predict(["how good", "so bad"])
    ['yes', 'no']
    """

    def __init__(self, seed=0):
        self.seed = seed

    def fit(self, examples):
        """Learns from labelled texts or pairs.

        Args:
            examples: a `tf.data.Dataset` as `load_labelled` returns it, or an
                iterable of pairs: a text or a pair of texts, and a string or a
                float.

        Returns:
            The baseline itself.

        Raises:
            ValueError: if there are no examples, or none has a word.
        """
        # Imported here: scikit-learn takes seconds to load.
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import Ridge
        from sklearn.linear_model import SGDClassifier

        sources, labels = read_pairs(examples)
        self.vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+"
        )
        self.vectorizer.fit(
            text for source in sources for text in _texts(source)
        )
        self.only_label = labels[0] if len(set(labels)) == 1 else None
        if self.only_label is not None:
            return self
        if isinstance(labels[0], str):
            self.model = SGDClassifier(
                # The penalty is a mean over the examples: the fewer there are,
                # the more of it.
                loss="log_loss",
                alpha=0.1 / len(labels),
                max_iter=20,
                tol=None,
                random_state=self.seed,
            )
        else:
            self.model = Ridge(random_state=self.seed, solver="lsqr")
        self.model.fit(self._vectors(sources), labels)
        return self

    def predict(self, sources):
        """Predicts the labels of texts or pairs.

        Args:
            sources: list of strings, or of pairs of them.

        Returns:
            A list of as many strings or floats.
        """
        sources = list(sources)
        if self.only_label is not None or not sources:
            return [self.only_label for _ in sources]
        return self.model.predict(self._vectors(sources)).tolist()

    def _vectors(self, sources):
        from scipy.sparse import hstack

        columns = zip(*map(_texts, sources))
        vectors = [self.vectorizer.transform(column) for column in columns]
        if len(vectors) == 1:
            return vectors[0]
        first, second = vectors
        return hstack(
            [first, second, abs(first - second), first.multiply(second)],
            format="csr",
        )


def _texts(source):
    return (source,) if isinstance(source, str) else tuple(source)
