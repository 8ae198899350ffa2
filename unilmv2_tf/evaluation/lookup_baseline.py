"""What looking up a name reaches in questions about arguments."""

import re

_QUESTION = re.compile(r"What is the argument (\w+) of ")
# Where a description begins behind a type: with a capital, and goes on.
_BEGINNING = re.compile(r"(?:^|(?<=\s))[A-Z][\w'-]* (?=[\w'])")
_SENTENCES = re.compile(r".*[.!?](?= [A-Z])", re.DOTALL)
_MAX_WORDS = 48


class LookupBaseline:
    """Answers a question about an argument with what follows its name.

    The line of the passage that begins with the name is looked up. The answer
    is what stands behind the colon; in the style of NumPy (`name : type`), what
    stands behind the type; the sentences of its first 48 words. There is
    nothing to fit.

    Example:

    >>> LookupBaseline().predict(
    ...     ["What is the argument y of add?"] * 2,
    ...     ["x: One.\\ny: int. The last.", "y : int, optional The last."])
    ['int. The last.', 'The last.']
    """

    def predict(self, questions, contexts):
        """Looks the names up.

        Args:
            questions: list of strings.
            contexts: list of as many strings.

        Returns:
            A list of strings, `""` where nothing is found.

        Raises:
            ValueError: if there are not as many questions as contexts.
        """
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
    beginning = _BEGINNING.search(answer) if line[1].endswith(" ") else None
    words = answer[beginning.start() if beginning else 0 :].split(" ")
    answer = " ".join(words[:_MAX_WORDS])
    sentences = _SENTENCES.match(answer) if len(words) > _MAX_WORDS else None
    return sentences[0] if sentences else answer
