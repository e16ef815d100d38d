"""The language model: weights, tokenizer, hooks and matrix products."""
