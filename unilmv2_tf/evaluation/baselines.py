"""Trivial methods, whose scores a model has to beat."""

import collections
import re

from unilmv2_tf.optional_imports import optional_import

_QUESTION = re.compile(r"What is the argument (\w+) of ")
# The first sentence behind a type: a capital, and more words.
_SENTENCE_START = re.compile(r"(?:^|(?<=\s))[A-Z][\w'-]* (?=[\w'])")
_SENTENCES = re.compile(r".*[.!?](?= [A-Z])", re.DOTALL)
_MAX_ANSWER_WORDS = 48


class MajorityBaseline:
    """Predicts the most common target or label.

    `fit` takes a `tf.data.Dataset` of pairs or labeled texts, or an iterable of
    pairs of source and target; `predict` a list of sources.

    Example:

    >>> from unilmv2_tf.evaluation import MajorityBaseline
    >>> baseline = MajorityBaseline()
    >>> baseline.fit([("a", "x"), ("b", "y"), ("c", "y")]).predict(["a", "d"])
    ['y', 'y']
    """

    def fit(self, pairs):
        _, targets = _read_pairs(pairs)
        # Of equally common ones the first, in every run.
        self.target = collections.Counter(targets).most_common(1)[0][0]
        return self

    def predict(self, sources):
        return [self.target for _ in sources]


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
        self.vectorizer = _make_vectorizer()
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


class LinearBaseline:
    """Predicts labels or values with a linear model of words and word pairs.

    TF-IDF vectors go into a logistic regression, or into a ridge regression
    where labels are floats. For pairs of texts, the features are both vectors,
    their absolute difference and their product.

    Args:
        seed: int. The seed of the order of examples. Defaults to `0`.

    Example:

    >>> from unilmv2_tf.evaluation import LinearBaseline
    >>> baseline = LinearBaseline()
    >>> examples = [("a good film", "yes"), ("a bad film", "no")]
    >>> baseline.fit(examples).predict(["how good", "so bad"])
    ['yes', 'no']
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(self, examples):
        linear_model = optional_import("sklearn.linear_model", "metrics")
        sources, labels = _read_pairs(examples)
        self.vectorizer = _make_vectorizer()
        self.vectorizer.fit(
            text for source in sources for text in _texts(source)
        )
        self.only_label = labels[0] if len(set(labels)) == 1 else None
        if self.only_label is not None:
            return self
        if isinstance(labels[0], str):
            self.model = linear_model.SGDClassifier(
                # The penalty is a mean over the examples: the fewer there are,
                # the stronger it should be.
                loss="log_loss",
                alpha=0.1 / len(labels),
                max_iter=20,
                tol=None,
                random_state=self.seed,
            )
        else:
            self.model = linear_model.Ridge(
                random_state=self.seed, solver="lsqr"
            )
        self.model.fit(self._vectors(sources), labels)
        return self

    def predict(self, sources):
        if self.only_label is not None or not sources:
            return [self.only_label for _ in sources]
        return self.model.predict(self._vectors(sources)).tolist()

    def _vectors(self, sources):
        columns = zip(*map(_texts, sources))
        vectors = [self.vectorizer.transform(column) for column in columns]
        if len(vectors) == 1:
            return vectors[0]
        first, second = vectors
        sparse = optional_import("scipy.sparse", "metrics")
        return sparse.hstack(
            [first, second, abs(first - second), first.multiply(second)],
            format="csr",
        )


class LookupBaseline:
    """Answers a question about an argument by looking its name up.

    The answer is what follows the colon in the line of the passage that begins
    with the name; in NumPy's style (`name : type`), what follows the type; the
    sentences of its first 48 words.

    Example:

    >>> from unilmv2_tf.evaluation import LookupBaseline
    >>> LookupBaseline().predict(
    ...     ["What is the argument y of add?"] * 2,
    ...     ["x: One.\\ny: int. The last.", "y : int, optional The last."])
    ['int. The last.', 'The last.']
    """

    def predict(self, questions, contexts):
        """Returns an answer for each question, `""` where there is none."""
        if len(questions) != len(contexts):
            raise ValueError(
                "`questions` and `contexts` must have the same length. "
                f"Received: {len(questions)} questions, {len(contexts)} "
                "contexts"
            )
        return [_look_up(*pair) for pair in zip(questions, contexts)]


def _look_up(question, context):
    name = _QUESTION.match(question)
    if not name:
        return ""
    line = re.search(
        rf"^\*{{0,2}}{re.escape(name[1])}\b([^\n:]*):[ \t]*([^\n]*)",
        context,
        re.MULTILINE,
    )
    if not line:
        return ""
    answer = line[2].strip()
    start = _SENTENCE_START.search(answer) if line[1].endswith(" ") else None
    words = answer[start.start() if start else 0 :].split(" ")
    answer = " ".join(words[:_MAX_ANSWER_WORDS])
    if len(words) <= _MAX_ANSWER_WORDS:
        return answer
    sentences = _SENTENCES.match(answer)
    return sentences[0] if sentences else answer


def _make_vectorizer():
    text = optional_import("sklearn.feature_extraction.text", "metrics")
    return text.TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+"
    )


def _texts(source):
    return (source,) if isinstance(source, str) else tuple(source)


def _read_pairs(pairs):
    """Lists of the sources and the targets of training examples."""
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
    def decoded(value):
        return value.decode("utf-8") if isinstance(value, bytes) else value

    if not isinstance(record, tuple):
        return decoded(record["encoder_text"]), decoded(record["decoder_text"])
    texts, label = record
    if "text" in texts:
        source = decoded(texts["text"])
    else:
        source = decoded(texts["text_a"]), decoded(texts["text_b"])
    return source, label.item() if hasattr(label, "item") else decoded(label)
