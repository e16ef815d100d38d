"""The primitive functions of expressions in four arithmetics.

Each module has one table, ``FUNCTIONS``, with the same names: `float64` (NumPy float64 arrays),
`multiprecision` (mpmath numbers at the current working precision), `arb` (python-flint's ``arb``
and ``arb_series``: enclosures) and `tails` (enclosures over all large x). `ARITY` lists the
names and their numbers of arguments; it is separate so that the parser imports none of the four.
"""

OPERATORS = {"add": 2, "sub": 2, "mul": 2, "div": 2, "pow": 2, "neg": 1}

ARITY = OPERATORS | {
    **dict.fromkeys(["exp", "expm1", "log", "log1p", "sqrt", "cbrt", "xlogx"], 1),
    **dict.fromkeys(["sin", "cos", "tan", "asin", "acos", "atan"], 1),
    **dict.fromkeys(["sinh", "cosh", "tanh", "asinh", "acosh", "atanh"], 1),
    **dict.fromkeys(["gamma", "lgamma", "erf", "erfc", "j0", "j1"], 1),
    **dict.fromkeys(["sigmoid", "softplus", "abs", "sign", "step"], 1),
    **dict.fromkeys(["max", "min"], 2),
}

CONSTANTS = ("pi", "e")
