"""Student's t distribution without SciPy: tail and quantile, for thresholds."""

from __future__ import annotations

import math
from statistics import NormalDist

MANY = 1e6
"""Degrees of freedom from which the normal distribution is as good."""


def tail(t: float, df: float) -> float:
    """Probability that a variable of Student's distribution exceeds t.

    Source: NIST Digital Library of Mathematical Functions, 8.17 (incomplete beta function, continued fraction 8.17.22).

    Args:
        t: 0 or above.
        df: degrees of freedom, above 0.
    """
    if df > MANY:
        return NormalDist().cdf(-t)
    if math.isinf(t):
        return 0.0
    return 0.5 * _beta(df / (df + t * t), t * t / (df + t * t), df / 2, 0.5)


def quantile(probability: float, df: float) -> float:
    """The value that a variable of Student's distribution exceeds with a probability of at most a half.

    Args:
        probability: of the upper tail, above 0.
        df: degrees of freedom, above 0.
    """
    if not 0 < probability <= 0.5 or df <= 0:
        raise ValueError(f"no quantile for a tail of {probability} with {df} degrees of freedom")
    if df > MANY:
        return -NormalDist().inv_cdf(probability)
    low, high = 0.0, 1.0
    while tail(high, df) > probability and high < 1e300:
        low, high = high, high * 2
    value = (low + high) / 2
    for _ in range(100):
        over = tail(value, df) - probability
        low, high = (value, high) if over > 0 else (low, value)
        step = value + over / _density(value, df) if high < 1e100 else math.inf
        following = step if low < step < high else (low + high) / 2  # Newton's, where it stays within
        if abs(following - value) <= 1e-14 * value:
            return following
        value = following
    return value


def _density(t: float, df: float) -> float:
    log = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return max(math.exp(log - (df + 1) / 2 * math.log1p(t * t / df)), 1e-300)


def _beta(x: float, y: float, a: float, b: float) -> float:
    """Regularized incomplete beta function I_x(a, b), with y = 1 - x given apart so that nothing cancels."""
    if x <= 0 or y <= 0:
        return 0.0 if x <= 0 else 1.0
    front = a * math.log(x) + b * math.log(y) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - math.exp(front) / b * _fraction(y, b, a)
    return math.exp(front) / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, 10_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1.0 / _away(1.0 + step * d, tiny), _away(1.0 + step / c, tiny)
            value *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return value


def _away(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
