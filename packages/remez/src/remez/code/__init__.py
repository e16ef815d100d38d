"""Source code that evaluates a rational function, with a bound on its rounding error."""
