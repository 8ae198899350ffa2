import keras_hub
import numpy as np

from unilmv2_tf.datasets import parsers


def test_joined_pieces_are_tokenized_to_the_same_pieces():
    vocabulary = ["[PAD]", "[UNK]", "un", "##fold", "##s", ".", "it", "'", "s"]
    tokenizer = keras_hub.tokenizers.WordPieceTokenizer(
        vocabulary, oov_token="[UNK]"
    )
    pieces = ["it", "'", "s", "un", "##fold", "##s", ".", "."]
    ids = np.array(tokenizer(parsers.join_word_pieces(pieces)))
    assert [vocabulary[token] for token in ids] == pieces
