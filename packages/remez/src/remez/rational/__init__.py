"""Rational functions: representations, conversions to other bases, and Zolotarev's closed forms."""
