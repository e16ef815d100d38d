"""Best (minimax) rational approximation, with a certificate.

>>> import numpy as np, remez
>>> fit = remez.fit(np.exp, (5, 4))
>>> print(f"{fit.error:.1e}")
4.3e-12
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "BarycentricRational",
    "Certificate",
    "CodeError",
    "ConvergenceError",
    "DegreeError",
    "Domain",
    "DomainError",
    "ErrorTable",
    "ExpressionError",
    "Fit",
    "IterationRecord",
    "MultiprecisionRational",
    "Problem",
    "RemezError",
    "Solution",
    "Status",
    "TargetError",
    "certify",
    "error_table",
    "fit",
    "fit_samples",
    "generate_code",
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
    """Names are imported when first asked for, so that ``import remez`` stays instant."""
    if name in _MODULES:
        return import_module(f".{_MODULES[name]}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'remez' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
