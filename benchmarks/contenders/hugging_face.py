"""Steps of Hugging Face's models in PyTorch."""

import torch
import transformers

from benchmarks.contenders import rows


def bart_config(settings, **others):
    """BART of the size of the settings: half of its layers encode."""
    size = rows.size(settings)
    return transformers.BartConfig(
        vocab_size=rows.VOCABULARY_SIZE,
        d_model=size["hidden"],
        encoder_layers=size["layers"] // 2,
        decoder_layers=size["layers"] // 2,
        encoder_attention_heads=size["heads"],
        decoder_attention_heads=size["heads"],
        encoder_ffn_dim=size["inner"],
        decoder_ffn_dim=size["inner"],
        **others,
    )


def bart(settings):
    """An update of `BartForConditionalGeneration`.

    Settings:
        precision: string. With `"mixed_bfloat16"` PyTorch's autocast chooses
            what is computed in bfloat16. Defaults to `"float32"`.
    """
    torch.set_num_threads(settings.get("threads") or torch.get_num_threads())
    source, target = rows.pairs(
        settings["batch_size"],
        settings["source_length"],
        settings["target_length"],
    )
    dropout = settings.get("dropout", rows.DROPOUT)
    model = transformers.BartForConditionalGeneration(
        bart_config(
            settings,
            max_position_embeddings=1024,
            dropout=dropout,
            attention_dropout=dropout,
        )
    ).train()
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=rows.LEARNING_RATE,
        weight_decay=rows.WEIGHT_DECAY,
        eps=rows.EPSILON,
    )
    source, target = (torch.tensor(x).long() for x in (source, target))
    mask = torch.ones_like(source)
    precision = settings.get("precision", "float32")

    def step():
        optimizer.zero_grad()
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=precision == "mixed_bfloat16"
        ):
            output = model(input_ids=source, attention_mask=mask, labels=target)
        loss = output.loss
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
