"""The solver for ``precision=``: the exchange in arbitrary precision and its starts.

The exchange starts from the reference of an earlier fit, if one is given, or from continuation:
the type grows from (0, 0) to (m, n), and each reference is extrapolated from the two previous ones.
If that fails, the reference of the fit in double precision is tried, and then smaller types: a
degenerate best of type (m, n) has type (m - d, n - d) and an error that alternates on m + n + 2 - d
points.

>>> import remez
>>> from mpmath import mp
>>> fit = remez.fit(remez.targets.exp, (2, 2), precision=30)
>>> print(mp.nstr(fit.error, 25))
0.00008689991075055192412300355
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
from mpmath import mp

from remez.errors import ConvergenceError, RemezError, TargetError
from remez.functions.expression import as_expression
from remez.functions.mpmath_callable import checked
from remez.functions.working_precision import working_digits
from remez.number_types import horner, to_mpf
from remez.problem import NO_WEIGHT, Problem
from remez.rational.arithmetic import Arithmetic, Number, fastest
from remez.rational.multiprecision import MultiprecisionRational
from remez.solution import Solution, Status
from remez.solver.history import History
from remez.solver.infinity import TAIL, check, middle
from remez.solver.precise.exchange import Curve, Reference, Scan, alternation, extrema, polish
from remez.solver.precise.levelling import spread
from remez.solver.precise.problem_reduction import Reduction, reduce
from remez.solver.precise.search import Found, Search
from remez.solver.precise.starts import compared, double_fit, folded, inside
from remez.solver.precise.zeros import divide
from remez.solver.survey import survey
from remez.verification.precise_judge import judge_precise

__all__ = ["fit_precise"]

GUARD = 15  # digits beyond those requested
RAISES = 4  # number of increases of the working precision
WINDOW = 100.0  # part of an unbounded domain that is searched for singular points
DETECT = 60  # working digits of the detection of symmetry


def fit_precise(
    problem: Problem,
    digits: int,
    *,
    start: Solution | None = None,
    max_iterations: int = 40,
    history: History | None = None,
    arithmetic: Arithmetic | None = None,
) -> Solution:
    """The best rational approximation to a number of decimal digits, see `remez.fit`.

    Args:
        problem: The problem. Ends of the domain are read as their shortest decimal form, 0.1 as
            1/10. ``fn`` and ``weight`` take mpmath numbers; expressions and catalogue targets are
            evaluated with python-flint if it is installed.
        digits: The decimal digits of the error, and of r relative to the error.
        start: A solution of the same type with a similar reference.
        max_iterations: The largest number of steps of each exchange and of Newton's method.
        history: The object that records the steps.
        arithmetic: The arithmetic; by default the fastest that is installed.

    Returns:
        The accepted solution, or the first one if none was accepted.

    Raises:
        TargetError: The problem has samples instead of a function, or was read from a file.
        ConvergenceError: No start led to an alternating error.
    """
    if problem.samples is not None:
        raise TargetError("samples cannot be refined: pass the function to remez.fit")
    _check_numbers(problem)
    fn, weight = problem.fn, problem.weight
    problem = replace(
        problem,
        fn=checked(problem.target().fn),
        domain=problem.domain.decimal(),
        weight=checked(weight, "weight") if callable(weight) else weight,
    )
    _check_weight(problem)
    _check_infinity(problem)
    solution = _solved(problem, digits, start, max_iterations, history, arithmetic or fastest())
    return replace(solution, problem=replace(solution.problem, fn=fn, weight=weight))


def _solved(
    problem: Problem,
    digits: int,
    start: Solution | None,
    max_iterations: int,
    history: History | None,
    arithmetic: Arithmetic,
) -> Solution:
    """`fit_precise` for callables that check their values."""
    division = divide(problem)
    problem = division.problem
    limit = math.inf
    if len(problem.domain.intervals) > 1 and problem.degree[1] > 0:
        problem, double = compared(problem)
        if double is not None:
            start, limit = double, double.error
    with arithmetic.digits(DETECT):
        reduction = reduce(problem, arithmetic, _rough_hints(problem))
    search = Search(reduction, arithmetic, max_iterations, history)
    best: Solution | None = None
    for method, found in _attempts(search, start):
        try:
            fit = finish(search, found, digits, method)
        except RemezError:
            raise
        except (ArithmeticError, ValueError):
            continue  # a jump of fn between neighbouring numbers made the levelled error NaN
        if fit.converged and fit.error > 1.001 * limit:
            fit = replace(fit, status=Status.OPEN)
        best = fit if best is None or fit.converged else best
        if fit.converged:
            return division.lift(fit)
    if best is None:
        raise ConvergenceError(
            f"no alternating error was found on the way to type {problem.degree}: lower the "
            "degree, or split the domain where fn is singular or jumps"
        )
    return division.lift(best)


def _check_numbers(problem: Problem) -> None:
    """Check that fn can be evaluated with mpmath numbers.

    Raises:
        TargetError: fn is missing, does not take mpmath numbers, or rounds them to float64.
    """
    fn = problem.target().fn
    values = []
    for x in problem.domain.spread(2, 0.6180339887498949)[:2]:
        try:
            values.append(fn(mp.mpf(float(x))))
        except (TypeError, AttributeError) as cause:
            raise TargetError(
                f"fn takes no mpmath numbers ({type(cause).__name__}: {cause}): use mpmath's "
                "functions, an expression, or remez.targets"
            ) from cause
        except Exception:  # noqa: BLE001 - where fn fails is reported with the point
            return
    if values[0] != values[1] and all(isinstance(value, float) for value in values):
        raise TargetError(
            "fn returns float64, which has no more than 16 digits: use mpmath's functions, an "
            "expression, or remez.targets"
        )


def _check_weight(problem: Problem) -> None:
    """Check that the weight is positive at one of a few points.

    Raises:
        TargetError: It is 0 at all of them.
    """
    weight = problem.weight
    if not callable(weight):
        return
    points = problem.domain.spread(12, 0.6180339887498949)
    if not any(weight(mp.mpf(float(x))) for x in points):
        raise TargetError(NO_WEIGHT)


def _check_infinity(problem: Problem) -> None:
    """Check in double precision that fn has a limit at infinity.

    Where double precision cannot evaluate fn, nothing is checked.

    Raises:
        TargetError: fn has no limit, or not the same at both ends of the line.
    """
    if problem.domain.is_finite or problem.weight is not None:
        return
    low, high = problem.domain.hull
    direction = 0.0 if math.isinf(low) and math.isinf(high) else 1.0 if math.isinf(high) else -1.0
    target, centre = problem.target(), {0.0: 0.0, 1.0: low, -1.0: high}[direction]
    with np.errstate(all="ignore"):
        try:
            centre, scale = middle(problem, target, centre, direction)
            target(
                np.concatenate(
                    [centre + s * scale * TAIL for s in (direction or -1, direction or 1)]
                )
            )
        except TargetError:
            return
        check(problem, target, (0, 0), centre, scale)


def _attempts(search: Search, start: Solution | None) -> Iterator[tuple[str, Found]]:
    """Yield the results of the starts in order; r = 0 is found at type (m, 0)."""
    if start is not None and (found := search.near(start)) is not None:
        yield "warm start", found
    if (found := search.climb()) is not None:
        yield "continuation", found
    if start is None:
        start = double_fit(folded(search.reduction))
        if start is not None and (found := search.near(start)) is not None:
            yield "double start", found
    if start is None or start.status is not Status.CONVERGED or start.defect > 0:
        for degree in [*search.reduction.lower(), (search.reduction.degree[0], 0)]:
            if (found := search.climb(degree)) is not None:
                yield "lower type", found


def _rough_hints(problem: Problem) -> tuple[float, ...]:
    """Where f may not be smooth, as its expression and double precision see it."""
    found: set[float] = set()
    expression = as_expression(problem.fn)
    if expression is not None:
        low, high = (min(max(end, -WINDOW), WINDOW) for end in problem.domain.hull)
        found.update(expression.singular_points(low, high))
    with suppress(
        RemezError, ArithmeticError, ValueError, TypeError
    ):  # not available in double precision
        found.update(map(float, survey(problem, problem.target()).singular))
    return tuple(sorted(found))


def finish(search: Search, found: Found, asked: int, method: str) -> Solution:
    """Polish at full precision, write the answer in x, and have it judged."""
    # digits: the requested ones, those by which f exceeds the error, those that points share
    found = search.lowest(found) if found.exact else found
    degree, points, exact = found.degree, found.points, found.exact
    arithmetic, reduction = search.arithmetic, replace(search.reduction, degree=found.degree)
    with arithmetic.digits(found.digits):
        curve = search.curve(degree)
        rough = curve.levelled(inside(curve, points), None)
        lost = 0 if exact else search.lost(abs(rough.error))
        crowding = _crowding(arithmetic, points)
    digits, steps = asked + GUARD + lost + crowding, 0
    # level to the last requested digit; if that fails, with more digits or a higher extremum
    for _ in range(RAISES):
        with arithmetic.digits(digits):
            curve = search.curve(degree)
            points = inside(curve, points)  # an end that is no dyadic number has moved
            reference = Reference(points, curve.levelled(points, None), 1.0, steps)
            tolerance = arithmetic.number(10) ** -(asked + 2)
            if not exact:
                reference = polish(curve, reference, tolerance, 20, search.watch(curve))
            scan = Scan.of(curve, reference.levelled, reference.points)
            maxima = reference.points if exact else extrema(curve, reference, scan)
            errors, _ = curve.errors(reference.levelled, maxima)
            high = max(scan.largest, *map(abs, errors))
            if exact or reference.excess > 1e-6 or high <= reference.error * (1 + tolerance):
                break
            points, steps = reference.points, reference.iterations
            if reference.excess > tolerance:
                digits += 5 + math.ceil(arithmetic.log(reference.excess / tolerance) / math.log(10))
            else:  # an extremum that is not in the reference is higher
                points = [maxima[i] for i in alternation(curve, maxima, errors, curve.size)]
    # the rational in powers of u, and the verdict of the judge on it
    with arithmetic.digits(digits):
        rational, _ = _rational(reduction, curve, reference, asked, lost, exact)
        hints = reduction.to_x([arithmetic.mpf(curve.place(s)) for s in maxima])
        verdict = judge_precise(
            reduction.problem, rational, hints, asked, list(map(to_mpf, reduction.rough))
        )
    with working_digits(asked):
        return Solution(
            rational,
            reduction.problem,
            +verdict.error,
            +verdict.lower,
            verdict.reference,
            verdict.status,
            iterations=reference.iterations,
            evaluations=search.evaluations,
            method=f"{method}, {arithmetic.name}",
            defect=verdict.defect,
            precision=asked,
        )


def _crowding(arithmetic: Arithmetic, points: Sequence[Number]) -> int:
    """Digits that neighbouring points have in common, relative to the size of the domain."""
    if len(points) < 2:
        return 0
    gap = min(b - a for a, b in itertools.pairwise(points))
    near = max(map(abs, points))
    return max(0, math.ceil((arithmetic.log(near) - arithmetic.log(gap)) / math.log(10)))


def _rational(
    reduction: Reduction,
    curve: Curve,
    reference: Reference,
    asked: int,
    lost: int,
    exact: bool,
) -> tuple[MultiprecisionRational, Number]:
    """Coefficients in u = (t - origin)/scale, with digits raised until they give r back.

    Also by how much they do not, weighted, at most. Values of r have ``lost`` digits more than
    asked for, so that the error, by so many digits smaller than f, has those asked for.
    """
    arithmetic, levelled = curve.arithmetic, reference.levelled
    ts = levelled.points
    low, high = ts[0], ts[-2] if reduction.unbounded else ts[-1]
    gaps = [b - a for a, b in itertools.pairwise(ts)]
    if reduction.unbounded:
        origin, scale = reduction.base(arithmetic), arithmetic.number(1)
    else:
        crowd = ts[gaps.index(min(gaps))]
        spaced = min(gaps) * 20 * len(ts) > high - low
        origin = (
            arithmetic.number((low + high) / 2)
            if spaced
            else min((*ts, *map(curve.place, curve.singular)), key=lambda t: abs(t - crowd))
        )
        scale = arithmetic.number(max(high - origin, origin - low))
    wanted = [p / q for p, q in zip(levelled.p, levelled.q, strict=True)]
    weights = [curve.weight(t) for t in ts]
    height = max(abs(v) * w for v, w in zip(wanted, weights, strict=True)) if exact else 0
    bound = max(reference.error, height) * arithmetic.number(10) ** -(asked + 1)
    digits = arithmetic.decimals
    for _ in range(8):
        digits += 10 + len(ts) // 2
        with arithmetic.digits(digits):
            u = [(t - origin) / scale for t in ts]
            p, q = (
                _coefficients(arithmetic, u, values, degree)
                for values, degree in zip((levelled.p, levelled.q), curve.degree, strict=True)
            )
            top = (
                max(q, key=abs)
                * (1 if levelled.q[0] > 0 else -1)
                * (1 if max(q, key=abs) > 0 else -1)
            )
            p, q = [arithmetic.number(c / top) for c in p], [arithmetic.number(c / top) for c in q]
            got = [horner(p, v) / horner(q, v) for v in u]
            slack = max(abs(a - b) * w for a, b, w in zip(got, wanted, weights, strict=True))
            if slack <= bound:
                break
    odd = reduction.parity == "odd"
    rational = MultiprecisionRational(
        tuple(map(arithmetic.mpf, p)),
        tuple(map(arithmetic.mpf, q)),
        reduction.type_in_x(curve.degree),
        asked + lost,
        digits,
        reduction.power,
        odd,
        to_mpf(reduction.centre),
        arithmetic.mpf(origin),
        arithmetic.mpf(scale),
    )
    return rational, slack


def _coefficients(
    arithmetic: Arithmetic, u: Sequence[Number], values: Sequence[Number], degree: int
) -> list[Number]:
    """The polynomial through degree + 1 of the points, by Newton's divided differences."""
    at = spread(len(u), degree + 1)
    nodes, table = [u[i] for i in at], [values[i] for i in at]
    for k in range(1, len(nodes)):
        for i in range(len(nodes) - 1, k - 1, -1):
            table[i] = arithmetic.number((table[i] - table[i - 1]) / (nodes[i] - nodes[i - k]))
    out = [table[-1]]
    for z, c in zip(reversed(nodes[:-1]), reversed(table[:-1]), strict=True):
        shifted = [arithmetic.number(0), *out]
        out = [
            arithmetic.number(a - z * b)
            for a, b in zip(shifted, [*out, arithmetic.number(0)], strict=True)
        ]
        out[0] = arithmetic.number(out[0] + c)
    return out
