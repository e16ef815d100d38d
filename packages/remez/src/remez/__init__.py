"""Best (minimax) rational approximation, with a certificate.

>>> import numpy as np, remez
>>> fit = remez.fit(np.exp, (5, 4))
>>> print(f"{fit.error:.1e}")
4.3e-12

`fit` approximates a function, `fit_samples` data, `fit_monomials` over chosen powers of x; what
they return is evaluated, plotted, proven (`Fit.certify`), written as code (`Fit.to_code`) and saved
(`Fit.save`, `load`). `error_table` compares degrees, `targets` lists functions by name, `zolotarev`
and `composite_polynomial` approximate sign.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "BarycentricRational",
    "Certificate",
    "CodeError",
    "CompositePolynomial",
    "ConvergenceError",
    "DegreeError",
    "Domain",
    "DomainError",
    "ErrorTable",
    "ExpressionError",
    "Fit",
    "IterationRecord",
    "MonomialFit",
    "MultiprecisionRational",
    "Problem",
    "RemezError",
    "Solution",
    "Status",
    "TargetError",
    "certify",
    "composite_polynomial",
    "error_table",
    "fit",
    "fit_monomials",
    "fit_samples",
    "generate_code",
    "load",
    "parse",
    "targets",
    "verify",
    "zolotarev",
]

_HOME = {
    "CodeError": "errors",
    "ConvergenceError": "errors",
    "DegreeError": "errors",
    "DomainError": "errors",
    "ExpressionError": "errors",
    "RemezError": "errors",
    "TargetError": "errors",
    "ErrorTable": "error_tables",
    "error_table": "error_tables",
    "Domain": "domain",
    "Problem": "problem",
    "BarycentricRational": "rational.barycentric",
    "MultiprecisionRational": "rational.multiprecision",
    "MonomialFit": "chosen_monomials",
    "fit_monomials": "chosen_monomials",
    "CompositePolynomial": "sign_polynomials",
    "composite_polynomial": "sign_polynomials",
    "load": "interface",
    "Fit": "interface",
    "fit": "interface",
    "fit_samples": "interface",
    "certify": "interface",
    "Solution": "solution",
    "Status": "solution",
    "IterationRecord": "solution",
    "Certificate": "verification.certificate",
    "verify": "verification.certificate",
    "generate_code": "code.generate",
    "parse": "functions.expression",
}
_MODULES = {"targets": "functions.catalogue", "zolotarev": "rational.zolotarev"}


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that ``import remez`` is fast."""
    if name in _MODULES:
        return import_module(f".{_MODULES[name]}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'remez' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, and what every module has."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
