"""Source code of a straight-line program in each language."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from remez.code.program import Program, Tree

__all__ = ["LANGUAGES", "commented", "is_function_name", "write"]

LONGEST = 300  # largest number of characters in a line of a comment

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}


@dataclass(frozen=True)
class _Language:
    """Templates for the source code of a function.

    Attributes:
        comment: The prefixes of the first and the other lines of a comment, and its last line.
        opening: The first lines of the function, from its name and type.
        assignment: The declaration of a local variable, from name, expression and type.
        closing: The last lines of the function, from the name of the result and the type.
        constant: A number of the type.
        clamp: The text before and after ``x`` that limits it to two bounds.
        reserved: Words that cannot be function names.
        unused: A line that marks x as used, for a constant function.
    """

    comment: tuple[str, str, str]
    opening: Callable[[str, str], str]
    assignment: Callable[[str, str, str], str]
    closing: Callable[[str, str], str]
    constant: Callable[[float, str], str]
    clamp: Callable[[str, str], tuple[str, str]]
    reserved: frozenset[str]
    unused: str = ""


def write(
    program: Program,
    language: str,
    dtype: str,
    name: str,
    header: list[str],
    clamp: tuple[float, float] | None = None,
) -> str:
    """Write the program as a function, preceded by a comment.

    Args:
        program: The operations.
        language: One of `LANGUAGES`.
        dtype: The type of every operation, "float64" or "float32".
        name: The name of the function.
        header: The lines of the comment, which `commented` escapes.
        clamp: Bounds to which x is limited first; an infinite bound is omitted.
    """
    how = LANGUAGES[language]
    first, middle, last = how.comment
    plain = [commented(line) for line in header]
    lines = [f"{first}{plain[0]}", *(f"{middle}{line}".rstrip() for line in plain[1:])]
    if last:
        lines.append(last)
    lines.append(how.opening(name, dtype))
    if clamp is not None:
        lines += _clamped(how, dtype, clamp)
    elif how.unused and not program.uses_input:
        lines.append(how.unused)
    for target, tree in program.assignments:
        lines.append(how.assignment(target, _render(tree, how, dtype), dtype))
    lines.append(how.closing(program.assignments[-1][0], dtype))
    return "\n".join(lines) + "\n"


def commented(text: str) -> str:
    """Escape a string for use in a comment of any language.

    The result is printable ASCII, does not end the comment, and is not read as an encoding
    declaration of a Python file.
    """
    plain = " ".join(text.split(" ")).encode("ascii", "backslashreplace").decode()
    plain = "".join(c if c.isprintable() else " " for c in plain)
    plain = plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
    plain = re.sub(r"coding(?=[:=])", "coding ", plain)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 3]}..."


def is_function_name(name: str, language: str) -> bool:
    """Whether a function of the language may have that name."""
    plain = name.isidentifier()
    if language == "c":  # names with such a start are the compiler's: _Bool, _Complex, __asm__
        plain = plain and name.isascii() and not re.match("__|_[A-Z]", name)
    return plain and name not in LANGUAGES[language].reserved


def _clamped(how: _Language, dtype: str, bounds: tuple[float, float]) -> list[str]:
    """The lines that limit x to the finite bounds."""
    low, high = (how.constant(b, dtype) if math.isfinite(b) else "" for b in bounds)
    return [line for line in how.clamp(low, high) if line]


def _render(tree: Tree, how: _Language, dtype: str) -> str:
    if isinstance(tree, str):
        return tree
    if not isinstance(tree, tuple):
        return how.constant(tree, dtype)
    left, sign, right = tree
    if sign in "+-" and isinstance(right, float) and right < 0:
        sign, right = "-" if sign == "+" else "+", -right
    return f"{_inside(left, sign, how, dtype)} {sign} {_inside(right, sign, how, dtype, last=True)}"


def _inside(tree: Tree, sign: str, how: _Language, dtype: str, *, last: bool = False) -> str:
    """An operand, in parentheses if the order of evaluation requires them."""
    text = _render(tree, how, dtype)
    if isinstance(tree, tuple):
        inner, outer = _PRECEDENCE[tree[1]], _PRECEDENCE[sign]
        return f"({text})" if inner < outer or (last and inner == outer) else text
    return f"({text})" if text.startswith("-") else text


def _shortest(value: float, dtype: str) -> str:
    """The shortest decimal that reads back as the same number of the type."""
    text = str(np.float32(value) if dtype == "float32" else np.float64(value))
    return text if any(mark in text for mark in ".en") else f"{text}.0"


def _numpy_constant(value: float, dtype: str) -> str:
    return f"f32({_shortest(value, dtype)})" if dtype == "float32" else _shortest(value, dtype)


def _c_type(dtype: str) -> str:
    return "float" if dtype == "float32" else "double"


def _python_opening(name: str, dtype: str) -> str:
    if dtype == "float64":
        return f"def {name}(x):"
    return f"from numpy import asarray, float32 as f32\n\n\ndef {name}(x):\n    x = asarray(x, f32)"


def _numba_opening(name: str, dtype: str) -> str:
    single = "from numpy import float32 as f32\n" if dtype == "float32" else ""
    return f'import numba\n{single}\n\n@numba.vectorize(["{dtype}({dtype})"])\ndef {name}(x):'


def _c_clamp(low: str, high: str) -> tuple[str, str]:
    return (
        f"    x = x < {low} ? {low} : x;" if low else "",
        f"    x = x > {high} ? {high} : x;" if high else "",
    )


def _python_clamp(low: str, high: str) -> tuple[str, str]:
    """Limit x with NumPy, for arrays and numbers; NaN stays NaN."""
    return "    from numpy import clip", f"    x = clip(x, {low or None}, {high or None})"


def _numba_clamp(low: str, high: str) -> tuple[str, str]:
    return (
        f"    x = {low} if x < {low} else x" if low else "",
        f"    x = {high} if x > {high} else x" if high else "",
    )


def _torch_clamp(low: str, high: str) -> tuple[str, str]:
    return "", f"    x = x.clamp({low or None}, {high or None})"


_PYTHON_WORDS = {*keyword.kwlist, *keyword.softkwlist, "x"}
# keywords of C11 and C23, and of C++ for headers that both read; then what the headers of the
# standard library declare but <math.h> and <complex.h>, and functions that GCC and Clang build in
_C_TEXT = """
auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void
volatile while alignas alignof bool constexpr false nullptr static_assert thread_local true typeof
typeof_unqual asm fortran main x NULL INFINITY NAN EOF and and_eq bitand bitor catch char8_t
char16_t char32_t class compl concept const_cast consteval constinit co_await co_return co_yield
decltype delete dynamic_cast explicit export friend mutable namespace new noexcept not not_eq
operator or or_eq private protected public reinterpret_cast requires static_cast template this throw
try typeid typename using virtual wchar_t xor xor_eq
abs labs llabs div ldiv lldiv exit abort atexit at_quick_exit quick_exit atof atoi atol atoll strtod
strtof strtold strtol strtoul strtoll strtoull malloc calloc realloc aligned_alloc free rand srand
qsort bsearch getenv system mblen mbtowc wctomb mbstowcs wcstombs
memcpy memmove memset memcmp memchr memccpy mempcpy strcpy strncpy strcat strncat strcmp strncmp
strcoll strxfrm strchr strrchr strspn strcspn strpbrk strstr strtok strerror strlen strdup strndup
strcasecmp strncasecmp stpcpy stpncpy index rindex bcmp bcopy bzero ffs ffsl ffsll alloca
printf fprintf sprintf snprintf vprintf vfprintf vsprintf vsnprintf scanf fscanf sscanf vscanf
vfscanf vsscanf fopen freopen fclose fflush setbuf setvbuf fgetc fgets fputc fputs getc getchar gets
putc putchar puts ungetc fread fwrite fseek ftell rewind fgetpos fsetpos clearerr feof ferror perror
remove rename tmpfile tmpnam stdin stdout stderr
isalnum isalpha isascii isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper
isxdigit toascii tolower toupper iswalnum iswalpha iswblank iswcntrl iswdigit iswgraph iswlower
iswprint iswpunct iswspace iswupper iswxdigit towlower towupper
time clock difftime mktime asctime ctime gmtime localtime strftime timespec_get
signal raise setjmp longjmp setlocale localeconv assert errno offsetof va_start va_arg va_end
va_copy fork execl execlp execle execv execvp execve gettext dgettext dcgettext strfmon
size_t ptrdiff_t max_align_t intmax_t uintmax_t intptr_t uintptr_t int8_t int16_t int32_t int64_t
uint8_t uint16_t uint32_t uint64_t float_t double_t FILE fpos_t clock_t time_t tm lconv jmp_buf
sig_atomic_t va_list wint_t div_t ldiv_t lldiv_t imaxabs imaxdiv imaxdiv_t
fpclassify isfinite isinf isnan isnormal signbit isgreater isgreaterequal isless islessequal
islessgreater isunordered iseqsig issignaling finite HUGE_VAL HUGE_VALF HUGE_VALL
unix linux M_E M_LOG2E M_LOG10E M_LN2 M_LN10 M_PI M_PI_2 M_PI_4 M_1_PI M_2_PI M_2_SQRTPI M_SQRT2
M_SQRT1_2 FLT_MAX FLT_MIN FLT_EPSILON FLT_DIG DBL_MAX DBL_MIN DBL_EPSILON DBL_DIG INT_MAX INT_MIN
UINT_MAX LONG_MAX LONG_MIN CHAR_BIT CHAR_MAX CHAR_MIN RAND_MAX EXIT_SUCCESS EXIT_FAILURE BUFSIZ
SEEK_SET SEEK_CUR SEEK_END FP_NAN FP_INFINITE FP_ZERO FP_SUBNORMAL FP_NORMAL DOMAIN SING OVERFLOW
UNDERFLOW PLOSS TLOSS EDOM ERANGE EILSEQ
"""
# <math.h> and <complex.h>, each also with the suffixes f and l
_C_MATHS = """
acos acosh acospi asin asinh asinpi atan atan2 atan2pi atanh atanpi canonicalize cbrt ceil
compoundn copysign cos cosh cospi drem erf erfc exp exp10 exp10m1 exp2 exp2m1 expm1 fabs fdim floor
fma fmax fmaximum fmaximum_mag fmaximum_num fmin fminimum fminimum_mag fminimum_num fmod frexp
fromfp fromfpx gamma getpayload hypot ilogb isinf isnan j0 j1 jn ldexp lgamma lgamma_r llogb llrint
llround log log10 log10p1 log1p log2 log2p1 logb logp1 lrint lround modf nan nearbyint nextafter
nextdown nexttoward nextup pow pow10 pown powr remainder remquo rint rootn round roundeven rsqrt
scalb scalbln scalbn setpayload significand sin sincos sinh sinpi sqrt tan tanh tanpi tgamma
totalorder totalordermag trunc ufromfp ufromfpx y0 y1 yn finite
cabs cacos cacosh carg casin casinh catan catanh ccos ccosh cexp cimag clog conj cpow cproj creal
csin csinh csqrt ctan ctanh
"""
_C_WORDS = {*_C_TEXT.split(), *(n + end for n in _C_MATHS.split() for end in ("", "f", "l"))}

LANGUAGES: dict[str, _Language] = {
    "c": _Language(
        comment=("/* ", " * ", " */"),
        opening=lambda name, dtype: (
            f"static inline {_c_type(dtype)} {name}({_c_type(dtype)} x)\n{{"
        ),
        assignment=lambda target, text, dtype: f"    const {_c_type(dtype)} {target} = {text};",
        closing=lambda result, dtype: f"    return {result};\n}}",
        constant=lambda value, dtype: _shortest(value, dtype) + ("f" if dtype == "float32" else ""),
        clamp=_c_clamp,
        reserved=frozenset(_C_WORDS),
        unused="    (void)x;",
    ),
    "python": _Language(
        comment=("# ", "# ", ""),
        opening=_python_opening,
        assignment=lambda target, text, dtype: f"    {target} = {text}",
        closing=lambda result, dtype: f"    return {result}",
        constant=_numpy_constant,
        clamp=_python_clamp,
        reserved=frozenset(_PYTHON_WORDS | {"asarray", "f32", "numpy", "clip"}),
    ),
    "numba": _Language(
        comment=("# ", "# ", ""),
        opening=_numba_opening,
        assignment=lambda target, text, dtype: f"    {target} = {text}",
        closing=lambda result, dtype: f"    return {result}",
        constant=_numpy_constant,
        clamp=_numba_clamp,
        reserved=frozenset(_PYTHON_WORDS | {"numba", "f32", "numpy"}),
    ),
    "torch": _Language(
        comment=("# ", "# ", ""),
        opening=lambda name, dtype: (
            "import torch\n\n\n"
            f"def {name}(x: torch.Tensor) -> torch.Tensor:\n"
            f"    dtype, x = x.dtype, x.to(torch.{dtype})"
        ),
        assignment=lambda target, text, dtype: f"    {target} = {text}",
        closing=lambda result, dtype: f"    return {result}.to(dtype)",
        constant=_shortest,
        clamp=_torch_clamp,
        reserved=frozenset(_PYTHON_WORDS | {"torch", "dtype"}),
    ),
}
