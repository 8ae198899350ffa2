"""The whole of it on real files: what is written is what was packed."""

import glob
import hashlib
import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import load_documents
from unilmv2_tf.datasets import open_token_shards
from unilmv2_tf.datasets import shard_plan
from unilmv2_tf.datasets import shard_writing
from unilmv2_tf.datasets.prepare import prepare
from unilmv2_tf.datasets.shard_plan import plan_shards
from unilmv2_tf.datasets.shard_writing import write_token_shards
from unilmv2_tf.preprocessing import pack_documents

pytestmark = pytest.mark.usefixtures("small_shards")


class Notices(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A small corpus."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"body": tfds.features.Text(), "year": np.int64}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(200):
            body = f"notice {number} " + "a b c " * (number % 7)
            yield number, {"body": body, "year": number}


@pytest.fixture(scope="module")
def one_process(small_shards, corpus, tokenizer, tmp_path_factory):
    output = tmp_path_factory.mktemp("one") / "shards"
    write_token_shards(
        plan_shards(corpus),
        tokenizer,
        output,
        sequence_length=64,
        validation_share=0.05,
    )
    return output


def hashes(folder):
    return {
        os.path.basename(path): hashlib.sha256(open(path, "rb").read()).digest()
        for path in glob.glob(f"{folder}/*")
    }


def stored_rows(folder, split):
    paths = sorted(glob.glob(f"{folder}/token_shards-{split}.tfrecord-*"))
    rows = tf.data.TFRecordDataset(paths).as_numpy_iterator()
    return np.stack([np.frombuffer(row, np.uint16) for row in rows])


def test_rows_are_those_of_pack_documents(one_process, corpus, tokenizer):
    text = corpus.read_text()
    packed = open_token_shards(one_process)
    buckets = {}
    for (part,) in plan_shards(corpus):
        documents = text[part.start : part.end].strip().split("\n\n")
        documents = [d for d in (d.strip() for d in documents) if d]
        held = tf.strings.to_hash_bucket_fast(documents, 1_000_000) < 50_000
        for split, keep in (("train", ~held), ("validation", held)):
            kept = [d for d, k in zip(documents, keep.numpy()) if k]
            shards = buckets.setdefault(split, [])
            # Each is a shard of training rows; validation has one in all.
            if split == "train" or not shards:
                shards.append([])
            shards[-1] += kept
    for split, shards in buckets.items():
        expected = []
        for documents in shards:
            dataset = tf.data.Dataset.from_tensor_slices({"text": documents})
            rows = pack_documents(dataset, tokenizer, 64)
            expected.append(
                np.stack([row["token_ids"].numpy() for row in rows])
            )
        lengths = [length for _, length in packed.shards[split]]
        assert lengths == [len(rows) for rows in expected]
        np.testing.assert_array_equal(
            stored_rows(one_process, split), np.concatenate(expected)
        )


def test_the_folder_describes_itself(one_process, corpus, tokenizer):
    packed = open_token_shards(one_process)
    assert packed.vocabulary == tokenizer.get_vocabulary()
    assert packed.tokenizer().get_config() == tokenizer.get_config()
    assert packed.dtype == np.uint16
    statistics = packed.statistics
    assert statistics["documents"] == len(list(load_documents(str(corpus))))
    assert statistics["sources"] == {
        str(corpus): {
            "documents": statistics["documents"],
            "bytes": sum(
                len(record["text"])
                for record in load_documents(str(corpus)).as_numpy_iterator()
            ),
        }
    }
    both = ("train", "validation")
    rows = np.concatenate([stored_rows(one_process, split) for split in both])
    assert statistics["rows"] == len(rows) == sum(map(packed.num_rows, both))
    assert statistics["tokens"] == (rows > 3).sum() + (rows == 1).sum()
    assert statistics["padding_share"] == pytest.approx((rows == 0).mean())
    assert statistics["shards"] == 3 + 1


@pytest.mark.slow
def test_two_processes_write_the_same(one_process, corpus, tokenizer, tmp_path):
    write_token_shards(
        plan_shards(corpus),
        tokenizer,
        tmp_path / "shards",
        sequence_length=64,
        validation_share=0.05,
        num_workers=2,
    )
    assert hashes(tmp_path / "shards") == hashes(one_process)


@pytest.mark.slow
def test_beam_writes_the_same(one_process, corpus, tokenizer, tmp_path):
    pytest.importorskip("apache_beam")
    write_token_shards(
        plan_shards(corpus),
        tokenizer,
        tmp_path / "shards",
        sequence_length=64,
        validation_share=0.05,
        runner="DirectRunner",
    )
    assert hashes(tmp_path / "shards") == hashes(one_process)


def test_a_corpus_of_tfds(tmp_path, tokenizer):
    with tfds.testing.tmp_dir() as data_dir:
        Notices(data_dir=data_dir).download_and_prepare()
        (tmp_path / "v.txt").write_text("\n".join(tokenizer.get_vocabulary()))
        statistics = prepare(
            "tfds:notices:train[:50%]+train[90%:]",
            str(tmp_path / "v.txt"),
            str(tmp_path / "shards"),
            sequence_length=16,
            validation_share=0.2,
            data_dir=data_dir,
            text_key="body",
            num_workers=1,
        )
        with pytest.raises(ValueError, match=r"no split 'test'.* train"):
            plan_shards("tfds:notices:test", data_dir, "body")
        with pytest.raises(ValueError, match="which has body, year"):
            plan_shards("tfds:notices", data_dir, "text")
        rows = tfds.builder("notices", data_dir=data_dir).as_dataset(
            split="train[:50%]+train[90%:]"
        )
        bodies = [row["body"].decode() for row in rows.as_numpy_iterator()]
    assert statistics["documents"] == 120
    packed = np.concatenate(
        [stored_rows(tmp_path / "shards", s) for s in ("train", "validation")]
    )
    # Every word is one letter or [UNK], or is split into letters.
    found = np.bincount(packed.ravel(), minlength=57)
    words = " ".join(bodies).split()
    for token, letter in enumerate("abc", start=5):
        assert found[token] == words.count(letter)


@pytest.mark.usefixtures("small_docstrings")
def test_docstrings_keep_their_own_split(tmp_path, tokenizer):
    counted = write_token_shards(
        plan_shards("docstrings:"), tokenizer, tmp_path / "shards", 128
    )["splits"]
    for split in ("train", "validation"):
        number = len(docstrings.load_examples("", split))
        assert counted[split]["documents"] == number


@pytest.mark.parametrize("content", ["", "\n \n\n"])
def test_no_document(tmp_path, tokenizer, content):
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(ValueError, match="no document"):
        write_token_shards(
            plan_shards(tmp_path / "a.txt"), tokenizer, tmp_path / "shards"
        )
    assert os.listdir(tmp_path) == ["a.txt"]


def test_no_document_for_validation(tmp_path, tokenizer):
    (tmp_path / "a.txt").write_text("one document")
    with pytest.raises(ValueError, match="left for validation"):
        write_token_shards(
            plan_shards(tmp_path / "a.txt"), tokenizer, tmp_path / "shards"
        )
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    "num_workers", [1, pytest.param(2, marks=pytest.mark.slow)]
)
def test_a_wrong_record_leaves_nothing(
    corpus, tokenizer, tmp_path, num_workers
):
    (tmp_path / "b.jsonl").write_text('{"text": "a"}\n{"text": 3}\n')
    plan = plan_shards([corpus, tmp_path / "b.jsonl"])
    with pytest.raises(ValueError, match=r"b\.jsonl:2: 'text' must be"):
        write_token_shards(
            plan, tokenizer, tmp_path / "shards", num_workers=num_workers
        )
    assert os.listdir(tmp_path) == ["b.jsonl"]


def test_overwriting(tmp_path, tokenizer):
    (tmp_path / "a.txt").write_text("a b c")
    plan = plan_shards(tmp_path / "a.txt")
    output = tmp_path / "shards"
    output.mkdir()
    keywords = dict(sequence_length=8, validation_share=0)
    write_token_shards(plan, tokenizer, output, **keywords)
    with pytest.raises(FileExistsError, match="--overwrite"):
        write_token_shards(plan, tokenizer, output, **keywords)
    keywords["sequence_length"] = 16
    write_token_shards(plan, tokenizer, output, overwrite=True, **keywords)
    assert open_token_shards(output).sequence_length == 16
    with pytest.raises(FileExistsError, match="not a folder of token shards"):
        write_token_shards(plan, tokenizer, tmp_path, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "shards"]


@pytest.mark.parametrize(
    "keywords, message",
    [
        ({"sequence_length": 4}, "sequence_length=4"),
        ({"validation_share": 1}, "validation_share=1"),
        ({"num_workers": 0}, "num_workers=0"),
        ({"runner_options": ["--x"]}, "need a `runner`"),
    ],
)
def test_wrong_arguments(keywords, message, tmp_path, tokenizer, corpus):
    with pytest.raises(ValueError, match=message):
        write_token_shards(
            plan_shards(corpus), tokenizer, tmp_path / "shards", **keywords
        )


def test_an_interrupted_run_resumes(
    one_process, corpus, tokenizer, tmp_path, monkeypatch
):
    made = []

    def make(job, function=shard_writing._make_rows):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(job.path)
        return function(job)

    def write(share=0.05):
        return write_token_shards(
            plan_shards(corpus),
            tokenizer,
            tmp_path / "shards",
            sequence_length=64,
            validation_share=share,
        )

    monkeypatch.setattr(shard_writing, "_make_rows", make)
    with pytest.raises(KeyboardInterrupt, match="resumes after them"):
        write()
    assert os.listdir(tmp_path) == [".shards.part"]
    monkeypatch.undo()
    kept = os.stat(made[0]).st_ino
    write()
    assert hashes(tmp_path / "shards") == hashes(one_process)
    name = os.path.basename(made[0])
    assert os.stat(tmp_path / "shards" / name).st_ino == kept
    assert os.listdir(tmp_path) == ["shards"]


def test_other_settings_begin_again(corpus, tokenizer, tmp_path):
    part = tmp_path / ".shards.part"
    part.mkdir()
    (part / "settings.json").write_text("[]")
    (part / "token_shards-train.tfrecord-00000-of-00003.json").write_text("3")
    write_token_shards(
        plan_shards(corpus), tokenizer, tmp_path / "shards", 64, 0
    )
    assert open_token_shards(tmp_path / "shards").num_rows("train") > 100


def test_a_file_without_an_empty_line(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(shard_plan, "MAX_DOCUMENT_BYTES", 20_000)
    path = tmp_path / "a.txt"
    path.write_text("some words of a line\n" * 20_000)
    with pytest.warns(UserWarning, match=r"a\.txt has no empty line.*sed G"):
        plan = plan_shards(path)
    # Cut between lines, so that several processes have work.
    assert len(plan) == 4
    counted = write_token_shards(plan, tokenizer, tmp_path / "shards", 64, 0)
    assert counted["documents"] == 4
    assert counted["tokens"] == 20_000 * len("somewordsofaline")
    (tmp_path / "b.txt").write_text("one document\nof two lines")
    with pytest.raises(ValueError, match="end at empty lines"):
        write_token_shards(
            plan_shards(tmp_path / "b.txt"), tokenizer, tmp_path / "other"
        )


def test_a_disk_that_is_too_small(tmp_path, tokenizer, corpus, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="make room"):
        write_token_shards(plan_shards(corpus), tokenizer, tmp_path / "shards")
    assert os.listdir(tmp_path) == []
