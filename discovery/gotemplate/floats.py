"""strconv.FormatFloat."""

import math
from decimal import Decimal
from typing import Final

_SHORTEST: Final = -1
# An exponent below the first or from the second on is written out, where digits are shortest.
_LEAST_EXPONENT: Final = -4
_SHORTEST_DECIMALS: Final = 6
_MANTISSA_BITS: Final = 52


def formatted(number: float, verb: str, precision: int) -> str:
    """The number by one of b e E f g G x X; precision -1 is the shortest that is exact."""
    if not math.isfinite(number):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(number)]
    match verb:
        case "e" | "E":
            return _exponent(number, verb, precision)
        case "f":
            return _fixed(number, precision)
        case "g" | "G":
            return _general(number, verb, precision)
        case "b":
            return _binary(number)
    return _hexadecimal(number, verb, precision)


def _shortest(number: float) -> tuple[str, str, int]:
    """Sign, digits and the position of the point before them, as repr finds them."""
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    point = len(text) + int(exponent)
    stripped = text.rstrip("0") or "0"
    return ("-" if sign else ""), stripped, point if text else 1


def _exponent(number: float, verb: str, precision: int) -> str:
    if precision != _SHORTEST:
        return f"{number:.{precision}{verb}}"
    sign, digits, point = _shortest(number)
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    exponent = point - 1
    return f"{sign}{digits[0]}{fraction}{verb}{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _fixed(number: float, precision: int) -> str:
    if precision != _SHORTEST:
        return f"{number:.{precision}f}"
    sign, digits, point = _shortest(number)
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}" if digits != "0" else f"{sign}0"
    whole = digits[:point].ljust(point, "0")
    fraction = digits[point:]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def _general(number: float, verb: str, precision: int) -> str:
    letter = "e" if verb == "g" else "E"
    if precision == _SHORTEST:
        _, _, point = _shortest(number)
        if not _LEAST_EXPONENT <= point - 1 < _SHORTEST_DECIMALS:
            return _exponent(number, letter, _SHORTEST)
        return _fixed(number, _SHORTEST)
    precision = precision or 1
    rounded = f"{number:.{precision - 1}e}"
    mantissa, _, power = rounded.partition("e")
    digits = mantissa.replace(".", "").lstrip("-").rstrip("0") or "0"
    exponent = int(power)
    threshold = precision
    if precision > len(digits) >= exponent + 1:
        threshold = len(digits)
    if not _LEAST_EXPONENT <= exponent < threshold:
        return _exponent(number, letter, len(digits) - 1)
    return _fixed(number, max(len(digits) - exponent - 1, 0))


def _binary(number: float) -> str:
    mantissa, exponent = math.frexp(number)
    sign = "-" if math.copysign(1.0, number) < 0 else ""
    whole = abs(int(math.ldexp(mantissa, _MANTISSA_BITS + 1)))
    power = exponent - _MANTISSA_BITS - 1
    least = -1074
    if number == 0 or power < least:
        whole, power = abs(int(math.ldexp(number, -least))), least
    return f"{sign}{whole}p{power:+d}"


def _hexadecimal(number: float, verb: str, precision: int) -> str:
    sign = "-" if math.copysign(1.0, number) < 0 else ""
    number = abs(number)
    mantissa, exponent = math.frexp(number) if number else (0.0, 1)
    bits = int(math.ldexp(mantissa, _MANTISSA_BITS + 1))
    exponent -= 1
    if 0 <= precision < _MANTISSA_BITS // 4:
        bits, exponent = _rounded(bits, exponent, _MANTISSA_BITS - 4 * precision)
    whole, fraction = bits >> _MANTISSA_BITS, bits & ((1 << _MANTISSA_BITS) - 1)
    digits = f"{fraction:013x}"
    digits = digits.rstrip("0") if precision == _SHORTEST else digits.ljust(precision, "0")
    digits = digits if precision == _SHORTEST else digits[:precision]
    point = f".{digits}" if digits else ""
    text = f"{sign}0x{whole}{point}p{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return text.upper() if verb == "X" else text


def _rounded(bits: int, exponent: int, drop: int) -> tuple[int, int]:
    half, rest = 1 << (drop - 1), bits & ((1 << drop) - 1)
    bits >>= drop
    if rest > half or (rest == half and bits & 1):
        bits += 1
    bits <<= drop
    if bits >> (_MANTISSA_BITS + 1):
        return bits >> 1, exponent + 1
    return bits, exponent
