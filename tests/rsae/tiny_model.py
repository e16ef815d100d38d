"""A language model of a few thousand numbers in a folder, as Hugging Face's library writes it."""

import json
import random
from pathlib import Path

import torch

WORDS = [f"w{i}" for i in range(20)]


def save_texts(file: Path, count: int) -> Path:
    """A jsonl file of documents of 400 words that the tiny model knows."""
    rng = random.Random(0)
    lines = [{"text": " ".join(rng.choices(WORDS, k=400))} for _ in range(count)]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    """A Llama of two layers and width 8, with a tokenizer of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<s>", "</s>", "<unk>", *WORDS]
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=8, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(seed)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
