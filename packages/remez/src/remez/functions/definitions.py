"""Definitions of catalogue functions in terms of primitive functions.

The forms avoid cancellation: erfc for the left tail of GELU, sigmoid for (1 + tanh) / 2.
"""

__all__ = ["DEFINITIONS"]

# name: (text, {parameter: default})
DEFINITIONS: dict[str, tuple[str, dict[str, str]]] = {
    "abs_power": ("abs(x)**a", {"a": "1/2"}),
    "relu": ("max(x, 0)", {}),
    "leaky_relu": ("max(x, 0) + slope*min(x, 0)", {"slope": "0.01"}),
    "gelu": ("x*erfc(-x/sqrt(2))/2", {}),
    "gelu_tanh": ("x*sigmoid(2*sqrt(2/pi)*(x + 0.044715*x**3))", {}),
    "silu": ("x*sigmoid(x)", {}),
    "mish": ("x*tanh(softplus(x))", {}),
    "elu": ("max(x, 0) + alpha*expm1(min(x, 0))", {"alpha": "1"}),
    "softsign": ("x/(1 + abs(x))", {}),
    "hard_sigmoid": ("min(max(x/6 + 1/2, 0), 1)", {}),
    "hard_swish": ("x*min(max(x/6 + 1/2, 0), 1)", {}),
    "hard_tanh": ("min(max(x, -1), 1)", {}),
    "soft_shrink": ("max(x - threshold, 0) + min(x + threshold, 0)", {"threshold": "1/2"}),
    "hard_shrink": ("x*(step(x - threshold) + step(-x - threshold))", {"threshold": "1/2"}),
    "gate": ("step(x - threshold)", {"threshold": "0"}),
    "jumprelu": ("x*step(x - threshold)", {"threshold": "1"}),
}
