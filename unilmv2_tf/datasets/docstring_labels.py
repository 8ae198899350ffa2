"""Docstrings to classify: by the package they are from, by their topic.

What counts as fair. A text is what a docstring says before its first section
(arguments, returned values), because headings and indentation show the style
of a package at once; and for packages the names of all of them are taken out,
with the short forms that code uses. What remains, a word such as "axes" or
"tensor", is the task. Many docstrings of TensorFlow are an older Keras's, and
differ from those of Keras in a word or not at all: no method gets all right.
"""

import re

from unilmv2_tf.datasets.corpus.packages import PACKAGES
from unilmv2_tf.datasets.corpus.packages import STANDARD_LIBRARY
from unilmv2_tf.datasets.docstring_pairs import by_split
from unilmv2_tf.datasets.docstring_pairs import opening_prose

PACKAGE_NAMES = PACKAGES
# Modules of the standard library, by the chapters of its reference more or
# less. Modules that belong to none are left out.
_MODULES = {
    "concurrency": """asyncio concurrent contextvars multiprocessing queue sched
        selectors signal subprocess threading _threading_local""",
    "debugging": """bdb cProfile doctest logging pdb profile pstats pydoc
        timeit trace traceback tracemalloc unittest warnings""",
    "files": """_compression _pyio aifc bz2 chunk codecs configparser csv dbm
        filecmp fileinput fnmatch genericpath glob gzip io json linecache lzma
        ntpath os pathlib plistlib posixpath shelve shutil stat tarfile
        tempfile tomllib wave xml zipfile""",
    "interface": """argparse cmd curses getopt getpass optparse pty rlcompleter
        tkinter tty turtle""",
    "language": """_collections_abc abc ast bisect collections contextlib copy
        copyreg dataclasses dis enum functools graphlib heapq inspect keyword
        opcode operator pickle pickletools pyclbr reprlib symtable token
        tokenize types typing weakref""",
    "network": """asynchat asyncore cgi email ftplib html http imaplib
        ipaddress mailbox mailcap mimetypes netrc nntplib poplib smtpd smtplib
        socket socketserver ssl telnetlib urllib uuid webbrowser wsgiref
        xmlrpc""",
    "numbers": """_pydecimal _strptime calendar colorsys datetime decimal
        fractions numbers random statistics zoneinfo""",
    "packaging": """compileall distutils ensurepip imp importlib modulefinder
        pkgutil py_compile runpy site sysconfig venv zipapp zipimport""",
}
TOPIC_NAMES = tuple(_MODULES)

_TOPICS = {
    module: topic
    for topic, modules in _MODULES.items()
    for module in modules.split()
}
_GIVEAWAYS = re.compile(
    r"(?<![^\W_])(tensorflow|tf|keras[_-]?(hub|nlp)|keras|numpy|np|scipy|sp"
    r"|scikit[- ]learn|sklearn|matplotlib|mpl|plt|pyplot|python|pydoc_data)"
    r"(?![^\W_])\.?",
    re.IGNORECASE,
)
_MIN_WORDS = 5
_MAX_WORDS = 64


def package_texts_of(documents):
    """What docstrings say and the packages they are from, by split.

    Args:
        documents: dictionaries with the keys `text` and `package`.

    Returns:
        A dictionary from split to a list of pairs: text, package.

    Example:

    >>> package_texts_of([{
    ...     "text": "Adds np.ndarray objects to a tf.Tensor, in Keras.",
    ...     "package": "keras"}])["train"]
    [('Adds ndarray objects to a Tensor, in', 'keras')]
    """

    def examples(document):
        text = opening_prose(document["text"], None)
        words = _GIVEAWAYS.sub("", text).split()[:_MAX_WORDS]
        if len(words) >= _MIN_WORDS:
            yield " ".join(words), document["package"]

    return by_split(documents, examples)


def topic_texts_of(documents):
    """What the standard library's docstrings say and their topics, by split.

    Args:
        documents: dictionaries with the keys `text`, `package` and `name`.

    Returns:
        A dictionary from split to a list of pairs: text, topic.

    Example:

    >>> topic_texts_of([{
    ...     "text": "Open a file with gzip compression.\\n\\nArgs:\\nmode: r.",
    ...     "package": "python", "name": "python.gzip.open"}])["train"]
    [('Open a file with gzip compression.', 'files')]
    """

    def examples(document):
        if document["package"] != STANDARD_LIBRARY:
            return
        _, module, *_ = [*document["name"].split("."), ""]
        text = opening_prose(document["text"], _MAX_WORDS)
        if module in _TOPICS and len(text.split()) >= _MIN_WORDS:
            yield text, _TOPICS[module]

    return by_split(documents, examples)
