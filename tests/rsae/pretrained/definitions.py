"""The formats' definitions in float64 numpy, written from their sources and from nothing of ours.

Each takes the arrays as the file stores them and x (n, d_in), and gives (z, x_hat).
"""

import numpy as np

Arrays = dict[str, np.ndarray]
Result = tuple[np.ndarray, np.ndarray]


def relu(h: np.ndarray) -> np.ndarray:
    return np.maximum(h, 0)


def largest(h: np.ndarray, k: int) -> np.ndarray:
    """h at the k largest entries of each row, else 0."""
    z = np.zeros_like(h)
    rows = np.arange(len(h))[:, None]
    chosen = np.argpartition(-h, k - 1, axis=1)[:, :k]
    z[rows, chosen] = h[rows, chosen]
    return z


def gemma_scope(a: Arrays, x: np.ndarray) -> Result:
    """DeepMind's tutorial notebook, class JumpReLUSAE."""
    pre_acts = x @ a["W_enc"] + a["b_enc"]
    acts = (pre_acts > a["threshold"]) * relu(pre_acts)
    return acts, acts @ a["W_dec"] + a["b_dec"]


def auto_encoder(a: Arrays, x: np.ndarray) -> Result:
    """dictionary_learning/dictionary.py, class AutoEncoder."""
    f = relu((x - a["bias"]) @ a["encoder.weight"].T + a["encoder.bias"])
    return f, f @ a["decoder.weight"].T + a["bias"]


def auto_encoder_new(a: Arrays, x: np.ndarray) -> Result:
    """dictionary_learning/dictionary.py, class AutoEncoderNew."""
    f = relu(x @ a["encoder.weight"].T + a["encoder.bias"])
    return f, f @ a["decoder.weight"].T + a["decoder.bias"]


def auto_encoder_topk(a: Arrays, x: np.ndarray) -> Result:
    """dictionary_learning/trainers/top_k.py, class AutoEncoderTopK."""
    post_relu = relu((x - a["b_dec"]) @ a["encoder.weight"].T + a["encoder.bias"])
    f = largest(post_relu, int(a["k"]))
    return f, f @ a["decoder.weight"].T + a["b_dec"]


def batch_topk(a: Arrays, x: np.ndarray) -> Result:
    """dictionary_learning/trainers/batch_top_k.py, class BatchTopKSAE, use_threshold=True."""
    post_relu = relu((x - a["b_dec"]) @ a["encoder.weight"].T + a["encoder.bias"])
    f = post_relu * (post_relu > a["threshold"])
    return f, f @ a["decoder.weight"].T + a["b_dec"]


def matryoshka(a: Arrays, x: np.ndarray) -> Result:
    """dictionary_learning/trainers/matryoshka_batch_top_k.py, all groups active."""
    post_relu = relu((x - a["b_dec"]) @ a["W_enc"] + a["b_enc"])
    f = post_relu * (post_relu > a["threshold"])
    return f, f @ a["W_dec"] + a["b_dec"]


def jump_relu_auto_encoder(a: Arrays, x: np.ndarray) -> Result:
    """dictionary_learning/dictionary.py, class JumpReluAutoEncoder."""
    pre_jump = x @ a["W_enc"] + a["b_enc"]
    f = relu(pre_jump * (pre_jump > a["threshold"]))
    return f, f @ a["W_dec"] + a["b_dec"]


DICTIONARY_LEARNING = {
    "AutoEncoder": auto_encoder,
    "AutoEncoderNew": auto_encoder_new,
    "AutoEncoderTopK": auto_encoder_topk,
    "BatchTopKSAE": batch_topk,
    "MatryoshkaBatchTopKSAE": matryoshka,
    "JumpReluAutoEncoder": jump_relu_auto_encoder,
}


def openai(a: Arrays, x: np.ndarray, k: int | None) -> Result:
    """openai/sparse_autoencoder/model.py: LN, Autoencoder, TopK."""
    mean, std = np.zeros((len(x), 1)), np.ones((len(x), 1))
    u = x
    if k is not None:
        mean = x.mean(axis=1, keepdims=True)
        std = (x - mean).std(axis=1, ddof=1, keepdims=True)
        u = (x - mean) / (std + 1e-5)
    h = (u - a["pre_bias"]) @ a["encoder.weight"].T + a["latent_bias"]
    z = relu(h) if k is None else relu(largest(h, k))
    return z, (z @ a["decoder.weight"].T + a["pre_bias"]) * std + mean


def sparsify(a: Arrays, x: np.ndarray, k: int) -> Result:
    """sparsify/sparse_coder.py and fused_encoder.py."""
    z = largest(relu((x - a["b_dec"]) @ a["encoder.weight"].T + a["encoder.bias"]), k)
    return z, z @ a["W_dec"] + a["b_dec"]
