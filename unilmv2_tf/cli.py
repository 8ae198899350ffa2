"""The command line: `unilmv2 COMMAND`."""

import importlib
import importlib.resources
import inspect
import os
import re
import sys
import traceback

from unilmv2_tf import __version__

# Command -> (module, function, one line of help). Modules are imported when
# their command is called, so that help and mistakes answer at once.
COMMANDS = {
    "quickstart": (
        "unilmv2_tf.quickstart.quickstart",
        "quickstart",
        "pre-train, fine-tune, export and query a small model, in minutes",
    ),
    "vocabulary": (
        "unilmv2_tf.datasets.vocabulary_command",
        "vocabulary",
        "learn a WordPiece vocabulary from text",
    ),
    "pretrain": (
        "unilmv2_tf.training.pretrain",
        "pretrain_command",
        "pre-train on packed shards; goes on where it was ended",
    ),
    "prepare": (
        "unilmv2_tf.datasets.prepare",
        "prepare",
        "pack any corpus into sharded rows of tokens for pre-training",
    ),
    "convert": (
        "unilmv2_tf.checkpoints.convert",
        "convert",
        "bring a checkpoint in as a preset, or a preset out",
    ),
    "finetune classify": (
        "unilmv2_tf.training.finetune",
        "finetune_classify",
        "fine-tune to classify texts or pairs, or to score them",
    ),
    "finetune answer": (
        "unilmv2_tf.training.finetune",
        "finetune_answer",
        "fine-tune to answer questions with spans of a passage",
    ),
    "generate": (
        "unilmv2_tf.inference.generate",
        "generate",
        "answer the texts of a file or a stream",
    ),
    "finetune seq2seq": (
        "unilmv2_tf.training.finetune",
        "finetune_seq2seq",
        "fine-tune to generate text from text: summaries, questions, names",
    ),
    "evaluate": (
        "unilmv2_tf.evaluation.evaluate",
        "evaluate",
        "score a fine-tuned model on labelled data",
    ),
    "export": (
        "unilmv2_tf.serving.command",
        "export",
        "write a SavedModel for TensorFlow Serving, and try it",
    ),
    "check-export": (
        "unilmv2_tf.serving.command",
        "check_export",
        "try a SavedModel where nothing of this package is, and time it",
    ),
    "inspect": (
        "unilmv2_tf.checkpoints.inspect_model",
        "inspect_model",
        "describe a preset or a checkpoint",
    ),
    "show-mask": (
        "unilmv2_tf.plots.show_mask",
        "show_mask",
        "draw who sees whom when a sentence is masked",
    ),
    "show-attention": (
        "unilmv2_tf.inference.show_attention",
        "show_attention",
        "draw what a generated text attends to",
    ),
}

USAGE_ERROR = 2
INTERRUPTED = 130


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: list of strings. Defaults to `None`: those of the process.

    Returns:
        The exit status: 0, 2 for a mistake of the user's, 130 if interrupted.

    Example:

    >>> from unilmv2_tf.cli import main
    >>> main(["--help"])
    usage: unilmv2 COMMAND [options]
    ...
    0
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else USAGE_ERROR
    if arguments[0] == "--version":
        print(__version__)
        return 0
    command = next(
        (
            name
            for name in COMMANDS
            if arguments[: len(name.split())] == name.split()
        ),
        None,
    )
    if command is None:
        return _unknown(arguments)
    return _run(command, arguments[len(command.split()) :])


def _unknown(arguments):
    group = [name for name in COMMANDS if name.split()[:-1] == arguments[:1]]
    if group and arguments[1:2] in (["-h"], ["--help"]):
        print(_overview(group))
        return 0
    if group and len(arguments) > 1:
        arguments = [" ".join(arguments[:2])]
    return _fail(
        "unilmv2",
        f"unknown command {arguments[0]!r}; the commands are "
        f"{', '.join(group or COMMANDS)}",
    )


def _run(command, arguments):
    program = f"unilmv2 {command}"
    debug = "--debug" in arguments
    # What TensorFlow logs at its start tells a user of a command nothing.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        parser, function = _parser(command)
        settings = parser.parse_args(arguments)
        values = settings.as_dict()
        values.pop("debug")
        function(**values)
    except SystemExit as stop:
        return stop.code or 0
    except KeyboardInterrupt as interrupt:
        if debug:
            raise
        _fail(program, str(interrupt) or "interrupted")
        return INTERRUPTED
    except (ValueError, OSError, ImportError) as error:
        if debug:
            traceback.print_exc()
            return USAGE_ERROR
        return _fail(program, _one_line(error))
    return 0


def _with_recipes(arguments, command):
    """Puts the path of a command's recipe where its name stands."""
    folder = importlib.resources.files("unilmv2_tf") / "recipes"
    folder = folder / command.split()[-1]
    replaced = []
    for argument in arguments:
        flag, equals, name = argument.rpartition("=")
        is_config = (
            flag == "--config" if equals else replaced[-1:] == ["--config"]
        )
        recipe = folder / f"{name}.yaml"
        if is_config and not os.path.exists(name) and recipe.is_file():
            argument = f"{flag}{equals}{recipe}"
        replaced.append(argument)
    return replaced


def _with_underscores(arguments):
    """Takes `--learning-rate` for `--learning_rate`."""
    replaced = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if re.fullmatch(r"--[a-z][a-z0-9-]*", flag):
            flag = "--" + flag[2:].replace("-", "_")
        replaced.append(flag + equals + value)
    return replaced


def _parser(command):
    import jsonargparse

    class OneLineParser(jsonargparse.ArgumentParser):
        def parse_args(self, args=None, **kwargs):
            args = _with_underscores(_with_recipes(args, command))
            return super().parse_args(args, **kwargs)

        def error(self, message, ex=None):
            del ex
            text = " ".join(str(message).split())
            raise SystemExit(
                _fail(self.prog, f"{text} (see {self.prog} --help)")
            )

    module, name, help_line = COMMANDS[command]
    function = getattr(importlib.import_module(module), name)
    parser = OneLineParser(
        prog=f"unilmv2 {command}",
        description=help_line[0].upper() + help_line[1:] + ".",
    )
    parameters = inspect.signature(function).parameters
    # A command about models may have a configuration of its own.
    flag = "settings_file" if "config" in parameters else "config"
    parser.add_argument(
        f"--{flag}",
        action="config",
        help="A YAML file with settings, or a recipe's name; flags after it "
        "win.",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="Show the whole traceback of an error.",
    )
    if "settings" not in parameters:
        parser.add_function_arguments(function, as_positional=True)
        return parser, lambda **values: function(**_without(values, flag))
    settings_class = parameters["settings"].annotation
    parser.add_class_arguments(settings_class)
    return parser, lambda **values: function(
        settings_class(**_without(values, flag))
    )


def _without(values, name):
    return {key: value for key, value in values.items() if key != name}


def _overview(commands=tuple(COMMANDS)):
    width = max(len(command) for command in commands)
    lines = [
        f"  {command:{width}}  {COMMANDS[command][2]}" for command in commands
    ]
    return "\n".join(
        [
            "usage: unilmv2 COMMAND [options]",
            "",
            "UniLMv2 for TensorFlow and Keras 3.",
            "",
            "commands:",
            *lines,
            "",
            "Each has --help, --config FILE.yaml, --print_config and --debug.",
        ]
    )


def _one_line(error):
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.strerror}: {error.filename}"
    return " ".join(text.split()) or type(error).__name__


def _fail(program, message):
    print(f"{program}: error: {message}", file=sys.stderr)
    return USAGE_ERROR
