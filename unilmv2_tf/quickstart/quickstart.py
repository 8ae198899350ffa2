"""The whole way on real text, small enough for two cores and minutes."""

import json
import os
import time

import keras
import numpy as np
import tensorflow as tf

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import seeded_batches
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.preprocessing import load_rows
from unilmv2_tf.preprocessing import pack_documents
from unilmv2_tf.preprocessing.vocabulary import learn_vocabulary
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary
from unilmv2_tf.preprocessing.vocabulary import save_vocabulary
from unilmv2_tf.quickstart.quickstart_report import write_report
from unilmv2_tf.quickstart.quickstart_scores import TASKS
from unilmv2_tf.quickstart.quickstart_scores import column_arrays
from unilmv2_tf.quickstart.quickstart_scores import score_task
from unilmv2_tf.quickstart.quickstart_scores import score_trivial_methods
from unilmv2_tf.quickstart.quickstart_scores import unigram_cross_entropy
from unilmv2_tf.training.arguments import OptimizerArgs
from unilmv2_tf.training.fitting import fit_resumably
from unilmv2_tf.training.optimizer import make_optimizer

# How many held-out sources the exported model is asked at the end.
NUM_SHOWN = 5


def quickstart(
    output: str = "quickstart",
    task: str = "name",
    preset: str = "unilmv2_tiny",
    vocabulary_size: int = 4000,
    sequence_length: int = 64,
    pretrain_steps: int = 4000,
    pretrain_batch_size: int = 16,
    finetune_steps: int = 1200,
    finetune_batch_size: int = 32,
    num_held_out: int | None = None,
    seed: int = 1,
):
    """Pre-trains, fine-tunes, evaluates, exports and asks a small model.

    Everything runs on the embedded corpus: docstrings of installed packages.
    Each part of the work is kept in the output folder, so that an interrupted
    run goes on where it stopped, and the folder's report.md tells the story.

    Args:
        output: The folder for everything that is made.
        task: name (an argument's description -> its name) or summary (the
            body of a docstring -> its first line; hard, for longer runs).
        preset: The size of the model, a built-in preset.
        vocabulary_size: How many WordPieces are learned.
        sequence_length: The length of pre-training rows, in tokens.
        pretrain_steps: Steps of pre-training.
        pretrain_batch_size: Rows in a step of pre-training.
        finetune_steps: Steps of fine-tuning.
        finetune_batch_size: Pairs in a step of fine-tuning.
        num_held_out: How many held-out pairs are scored. All by default.
        seed: Fixes everything that is random.
    """
    settings = dict(locals())
    if task not in TASKS:
        raise ValueError(
            f"`task` must be one of {', '.join(TASKS)}. Received: task={task}"
        )
    run = QuickStart(settings)
    try:
        run.run()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {output} keeps what is done, and the same command "
            "goes on from there"
        ) from None


class QuickStart:
    """The parts of the quick start, in order, each done once.

    Args:
        settings: dict of the arguments of `quickstart`.
    """

    def __init__(self, settings):
        self.settings = settings
        self.folder = settings["output"]
        self.task = TASKS[settings["task"]]
        os.makedirs(self.folder, exist_ok=True)
        self._check_settings()
        self.seconds = self.read_json("seconds.json", {})

    def run(self):
        """Does all that has not been done yet."""
        tokenizer = self._part("vocabulary", self.make_tokenizer)
        self._part("pretrain", self.pretrain, tokenizer)
        pretrained = self.path("pretrained")
        self._part("finetune", self.finetune, "finetuned", pretrained)
        # The same training from random weights, to see what pre-training
        # is worth.
        self._part("from scratch", self.finetune, "scratch", None)
        scores = self._part("evaluate", self.evaluate)
        self._part("export", self.export)
        answers = self._part("ask", self.ask)
        report = write_report(self, tokenizer, scores, answers)
        self._say(f"\n{report}\nThe report with its pictures: "
                  f"{self.path('report.md')}")  # fmt: skip

    def path(self, *names):
        """A path in the output folder.

        Args:
            *names: strings.

        Returns:
            A string.
        """
        return os.path.join(self.folder, *names)

    def make_tokenizer(self):
        """Learns the vocabulary.

        Returns:
            A `UniLMv2Tokenizer`.
        """
        path = self.path("vocabulary.txt")
        if not os.path.exists(path):
            save_vocabulary(
                learn_vocabulary(
                    docstrings.documents("train"),
                    vocabulary_size=self.settings["vocabulary_size"],
                ),
                path,
            )
        return UniLMv2Tokenizer(load_vocabulary(path))

    def pretrain(self, tokenizer):
        """Pre-trains from random weights, on both objectives at once.

        Args:
            tokenizer: a `UniLMv2Tokenizer`.
        """
        if os.path.exists(self.path("pretrained")):
            return
        settings = self.settings
        length = settings["sequence_length"]
        rows, statistics = self._rows(tokenizer, "train")
        held_out, _ = self._rows(tokenizer, "validation")
        self._say(f"Pre-training on {statistics}.")
        keras.utils.set_random_seed(settings["seed"])
        backbone = UniLMv2Backbone.from_preset(
            settings["preset"],
            load_weights=False,
            vocabulary_size=tokenizer.vocabulary_size(),
            max_sequence_length=max(length, sum(self.task.lengths)),
            # So short a training sees each row a few times at most.
            dropout=0.0,
        )
        masked_lm = UniLMv2PseudoMaskedLM(
            backbone,
            UniLMv2PseudoMaskedLMPreprocessor(
                tokenizer, sequence_length=length, seed=settings["seed"]
            ),
        )
        masked_lm.compile(
            optimizer=make_optimizer(
                OptimizerArgs(learning_rate=1e-3, beta_2=0.98, clip_norm=1.0),
                settings["pretrain_steps"],
                round(0.05 * settings["pretrain_steps"]),
                keras.optimizers.AdamW,
            )
        )
        self._fit(masked_lm, rows, "pretrain", "pretraining", "pre-training")
        losses = masked_lm.evaluate(
            tf.data.Dataset.from_tensor_slices(held_out).batch(64),
            verbose=0,
            return_dict=True,
        )
        self.write_json(
            "pretraining.json",
            {
                "parameters": backbone.count_params(),
                "corpus": str(statistics),
                "held_out": losses,
                "unigram_entropy": unigram_cross_entropy(
                    rows, held_out, tokenizer
                ),
            },
        )
        with replacing(self.path("pretrained")) as temporary:
            masked_lm.save_to_preset(temporary)

    def finetune(self, name, pretrained):
        """Fine-tunes on pairs.

        Args:
            name: string. The folder of the result.
            pretrained: string. The preset to start from, or `None` for random
                weights.
        """
        if os.path.exists(self.path(name)):
            return
        settings = self.settings
        keras.utils.set_random_seed(settings["seed"])
        start = UniLMv2PseudoMaskedLM.from_preset(
            self.path("pretrained"), dropout=0.1
        )
        source_length, target_length = self.task.lengths
        preprocessor = UniLMv2Seq2SeqLMPreprocessor(
            start.preprocessor.tokenizer,
            encoder_sequence_length=source_length,
            decoder_sequence_length=target_length,
            seed=settings["seed"],
        )
        if pretrained is None:
            seq_2_seq_lm = UniLMv2Seq2SeqLM(
                UniLMv2Backbone.from_config(start.backbone.get_config()),
                preprocessor,
            )
        else:
            seq_2_seq_lm = UniLMv2Seq2SeqLM.from_preset(
                pretrained, preprocessor=preprocessor, dropout=0.1
            )
        seq_2_seq_lm.compile(
            optimizer=make_optimizer(
                OptimizerArgs(learning_rate=1e-3, clip_norm=1.0),
                settings["finetune_steps"],
                round(0.1 * settings["finetune_steps"]),
                keras.optimizers.AdamW,
            ),
            sampler=self._sampler(),
        )
        self._fit(
            seq_2_seq_lm,
            column_arrays(self.task.pairs("train")),
            "finetune",
            f"{name}.training",
            "fine-tuning" if pretrained else "from scratch",
        )
        with replacing(self.path(name)) as temporary:
            seq_2_seq_lm.save_to_preset(temporary)

    def _fit(self, task, columns, stage, folder, label):
        batch_size = self.settings[f"{stage}_batch_size"]
        num_steps = self.settings[f"{stage}_steps"]
        fit_resumably(
            task,
            lambda step: seeded_batches(
                columns,
                None,
                batch_size,
                num_steps,
                self.settings["seed"],
                step,
            ),
            num_steps,
            self.path(folder),
            label=label,
            examples_per_step=batch_size,
            steps_per_save=100,
        )

    def evaluate(self):
        """Scores both models and the trivial methods on held-out pairs.

        Returns:
            A dict from method to its scores.
        """
        scores = self.read_json("scores.json", {})
        if scores:
            return scores
        held_out = self._held_out()
        for label, name in (
            ("pre-trained", "finetuned"),
            ("from scratch", "scratch"),
        ):
            predictions_path = self.path(f"{name}.predictions.json")
            scores[label] = score_task(
                self.load(name), held_out, predictions_path, label
            )
        train = column_arrays(self.task.pairs("train"))
        scores.update(score_trivial_methods(self.task, train, held_out))
        self.write_json("scores.json", scores)
        return scores

    def load(self, name):
        """Loads a fine-tuned model.

        Args:
            name: string. Its folder.

        Returns:
            A `UniLMv2Seq2SeqLM`, ready to generate.
        """
        seq_2_seq_lm = UniLMv2Seq2SeqLM.from_preset(self.path(name))
        seq_2_seq_lm.compile(sampler=self._sampler())
        return seq_2_seq_lm

    def export(self):
        """Writes the fine-tuned model as a SavedModel."""
        from unilmv2_tf.serving import export_model

        if not os.path.exists(self.path("saved_model")):
            # It is asked in a clean process in the next part.
            export_model(
                self.load("finetuned"), self.path("saved_model"), check=False
            )

    def ask(self):
        """Asks the SavedModel, in a process that has TensorFlow only.

        Returns:
            A list of dicts: `source`, `reference`, `generated`, `score`.
        """
        from unilmv2_tf.serving import ask_saved_model

        held_out = self._held_out()
        sources = _shown(held_out["encoder_text"])
        references = _shown(held_out["decoder_text"])
        answers = ask_saved_model(self.path("saved_model"), sources)
        return [
            {
                "source": source,
                "reference": reference,
                "generated": text,
                "score": score,
            }
            for source, reference, (text, score) in zip(
                sources, references, answers
            )
        ]

    def _held_out(self):
        pairs = self.task.pairs("validation")
        if self.settings["num_held_out"] is not None:
            pairs = pairs.take(self.settings["num_held_out"])
        return column_arrays(pairs)

    def _sampler(self):
        return BeamSearchSampler(
            num_beams=3, length_penalty=self.task.length_penalty
        )

    def _rows(self, tokenizer, split):
        return load_rows(
            pack_documents(
                docstrings.documents(split),
                tokenizer,
                self.settings["sequence_length"],
            ),
            tokenizer,
        )

    def _part(self, name, work, *arguments):
        self._say(f"\n== {name}")
        start = time.monotonic()
        result = work(*arguments)
        seconds = time.monotonic() - start
        # A part that was found done does not say how long it took.
        self.seconds[name] = max(seconds, self.seconds.get(name, 0.0))
        self.write_json("seconds.json", self.seconds)
        return result

    def _say(self, text):
        print(text, flush=True)

    def _check_settings(self):
        settings = {k: v for k, v in self.settings.items() if k != "output"}
        earlier = self.read_json("settings.json", settings)
        changed = [
            f"{key}={earlier.get(key)}"
            for key in settings
            if earlier.get(key) != settings[key]
        ]
        if changed:
            raise ValueError(
                f"`output` must be a new folder, or one that was made with the "
                f"same settings. Received: {self.folder}, made with "
                f"{', '.join(changed)}. Choose another --output, or delete it."
            )
        self.write_json("settings.json", settings)

    def read_json(self, name, default):
        """Reads a file of the output folder.

        Args:
            name: string.
            default: what to return if there is no such file.

        Returns:
            The value of the JSON file.
        """
        if not os.path.exists(self.path(name)):
            return default
        with open(self.path(name), encoding="utf-8") as file:
            return json.load(file)

    def write_json(self, name, value):
        write_text(self.path(name), json.dumps(value, indent=2) + "\n")


def _shown(texts):
    # Spread over the held-out pairs, the same ones every time.
    places = np.linspace(0, len(texts) - 1, NUM_SHOWN).astype(int)
    return [texts[place].decode("utf-8") for place in places]
