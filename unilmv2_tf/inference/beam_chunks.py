"""Computes chunks of items on an Apache Beam runner.

The chunks are files of the folder `OUTPUT.parts`, which all workers must see:
items in, lines out. What exists is not computed again.
"""

import dataclasses
import functools
import json
import os
import shutil

from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.inference.file_jobs import lines_of
from unilmv2_tf.optional_imports import optional_import
from unilmv2_tf.run_settings import check_same_settings

beam = optional_import("apache_beam", "beam")
inference = optional_import("apache_beam.ml.inference.base", "beam")


class ChunkHandler(inference.ModelHandler):
    """Loads the model of a job once in a worker, and computes whole chunks."""

    def __init__(self, job, output, folder):
        # A chunk is one element, so that batches are those of a single machine.
        super().__init__(max_batch_size=1)
        self.job, self.output, self.folder = job, output, folder

    def load_model(self):
        job = dataclasses.replace(self.job)
        job.load(self.output)
        return job

    def run_inference(self, batch, model, inference_args=None):
        for index in batch:
            with open(_path(self.folder, index, "items"), "rb") as file:
                yield index, lines_of(model, json.load(file), index)


def _path(folder, index, kind):
    return os.path.join(folder, f"{index:012}.{kind}")


def _write_lines(folder, chunk):
    index, lines = chunk
    write_text(_path(folder, index, "lines"), lines)


def compute_on_beam(
    job, items, output, settings, chunk_size, overwrite, runner, options
):
    """Writes the line of each item to a file."""
    folder = f"{os.path.abspath(output)}.parts"
    if overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, exist_ok=True)
    check_same_settings(folder, settings)
    starts = range(0, len(items), chunk_size)
    missing = [
        start
        for start in starts
        if not os.path.exists(_path(folder, start, "lines"))
    ]
    for start in missing:
        chunk = json.dumps(items[start : start + chunk_size])
        write_text(_path(folder, start, "items"), chunk)
    options = beam.pipeline.PipelineOptions(list(options))
    with beam.Pipeline(runner=runner, options=options) as pipeline:
        chunks = pipeline | beam.Create(missing)
        chunks |= inference.RunInference(ChunkHandler(job, output, folder))
        chunks | beam.Map(functools.partial(_write_lines, folder))
    with replacing(output) as temporary, open(temporary, "wb") as target:
        for start in starts:
            with open(_path(folder, start, "lines"), "rb") as source:
                shutil.copyfileobj(source, target)
    shutil.rmtree(folder)
