"""The TFDS builder of packed rows."""

import tensorflow_datasets as tfds

from unilmv2_tf.datasets.packed.folder import FORMAT
from unilmv2_tf.datasets.packed.packer import pack_shard
from unilmv2_tf.datasets.packed.rows import token_dtype


class ShardRows:
    """One shard's examples, as TFDS wants them: a function without arguments.

    Args:
        job: a `ShardJob`.
        pack: function from a job to an array of token ids. Defaults to
            `pack_shard`, which can be sent to other machines.
    """

    def __init__(self, job, pack=pack_shard):
        self.job = job
        self.pack = pack

    def __call__(self):
        for key, row in enumerate(self.pack(self.job)):
            yield key, {"token_ids": row}


class PackedRows(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Rows `[CLS] S1 [SEP] S2 [SEP]` of token ids, in shards.

    Args:
        shards: dict from a split to a list of `ShardRows`.
        sequence_length: int. The length of the rows.
        tokenizer: dict. What `save_tokenizer` returns.
        **kwargs: see `tfds.core.ShardBasedBuilder`.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, shards, sequence_length, tokenizer, **kwargs):
        self._shards = shards
        self._sequence_length = sequence_length
        self._tokenizer = tokenizer
        super().__init__(**kwargs)

    def _info(self):
        dtype = token_dtype(len(self._tokenizer["vocabulary"]))
        return tfds.core.DatasetInfo(
            builder=self,
            description="Rows of token ids, packed by `unilmv2 prepare`.",
            features=tfds.features.FeaturesDict(
                {
                    "token_ids": tfds.features.Tensor(
                        shape=(self._sequence_length,),
                        dtype=dtype,
                        encoding="bytes",
                    )
                }
            ),
            metadata=tfds.core.MetadataDict(
                format=FORMAT,
                sequence_length=self._sequence_length,
                tokenizer=self._tokenizer,
            ),
        )

    def _shard_iterators_per_split(self, dl_manager):
        del dl_manager
        return self._shards
