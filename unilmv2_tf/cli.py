"""The command line: `unilmv2 COMMAND`."""

import dataclasses
import importlib
import importlib.resources
import inspect
import os
import re
import sys
import traceback
import warnings

from unilmv2_tf import __version__

# Command -> (module:function, one line of help). A module is imported when its
# command runs, so that help and errors appear at once.
COMMANDS = {
    "quickstart": (
        "quickstart:quickstart",
        "pre-train, fine-tune, export and query a small model in minutes",
    ),
    "vocabulary": (
        "datasets.prepare:vocabulary",
        "learn a WordPiece vocabulary from text",
    ),
    "prepare": (
        "datasets.prepare:prepare",
        "tokenize a corpus into token shards for pre-training",
    ),
    "pretrain": (
        "training.pretrain:pretrain_command",
        "pre-train on token shards; resumes an interrupted run",
    ),
    "finetune classify": (
        "training.finetune:finetune_classify",
        "fine-tune for classification or regression of texts or pairs",
    ),
    "finetune answer": (
        "training.finetune:finetune_answer",
        "fine-tune to answer questions with spans of a passage",
    ),
    "finetune seq2seq": (
        "training.finetune:finetune_seq2seq",
        "fine-tune for text to text: summaries, questions, names",
    ),
    "evaluate": (
        "evaluation.evaluate:evaluate",
        "score a fine-tuned model on labeled data",
    ),
    "generate": (
        "inference.generate:generate",
        "generate a text for each line of a file or a stream",
    ),
    "predict": (
        "inference.predict:predict",
        "classify the texts, or answer the questions, of a file or a stream",
    ),
    "convert": (
        "checkpoints.convert:convert",
        "convert a checkpoint to a preset, or a preset to a checkpoint",
    ),
    "inspect": (
        "checkpoints.inspect_model:inspect_model",
        "describe a preset or a checkpoint",
    ),
    "export": (
        "serving.export_command:export",
        "export a preset for TensorFlow Serving, and check the export",
    ),
    "check-export": (
        "serving.export_command:check_export",
        "check and time an export in a process without this package",
    ),
    "show-mask": (
        "plots.mask_plots:show_mask_command",
        "draw the attention mask of a masked sentence",
    ),
    "show-attention": (
        "inference.generate:show_attention",
        "draw the attention of a generated text",
    ),
}

USAGE_ERROR = 2
INTERRUPTED = 130


def main(arguments=None):
    """Runs a command and returns its exit status.

    0 on success, 2 for a mistake of the user's, 130 after Ctrl-C, and 143
    after SIGTERM to a training.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0 if arguments else USAGE_ERROR
    if arguments[0] == "--version":
        print(__version__)
        return 0
    for length in (1, 2):
        command = " ".join(arguments[:length])
        if command in COMMANDS:
            return _run(command, arguments[length:])
    return _unknown(arguments)


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
    # TensorFlow's start-up log tells a user of a command nothing, nor does the
    # line of code that warns.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.formatwarning = lambda text, *_: f"{program}: warning: {text}\n"
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
    """Replaces the name of a recipe by its path."""
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
    """Accepts `--learning-rate` for `--learning_rate`."""
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

    entry_point, help_line = COMMANDS[command]
    module, name = entry_point.split(":")
    module = importlib.import_module(f"unilmv2_tf.{module}")
    function = getattr(module, name)
    parser = OneLineParser(
        prog=f"unilmv2 {command}",
        description=help_line[0].upper() + help_line[1:] + ".",
    )
    parameters = inspect.signature(function).parameters
    # `convert --config` is the configuration of a model.
    flag = "settings_file" if "config" in parameters else "config"
    parser.add_argument(
        f"--{flag}",
        action="config",
        help="YAML file with settings, or a recipe's name. Flags that follow "
        "override it.",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        help="Show the traceback of an error.",
    )
    # The fields of dataclasses are options like the others.
    groups = {
        name: parameter.annotation
        for name, parameter in parameters.items()
        if dataclasses.is_dataclass(parameter.annotation)
    }
    if len(groups) < len(parameters):
        parser.add_function_arguments(
            function, as_positional=True, skip=set(groups)
        )
    for group in groups.values():
        parser.add_class_arguments(group)

    def call(**values):
        del values[flag]
        for name, group in groups.items():
            fields = [field.name for field in dataclasses.fields(group)]
            values[name] = group(**{key: values.pop(key) for key in fields})
        return function(**values)

    return parser, call


def _overview(commands=tuple(COMMANDS)):
    width = max(len(command) for command in commands)
    lines = [
        f"  {command:{width}}  {COMMANDS[command][1]}" for command in commands
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
