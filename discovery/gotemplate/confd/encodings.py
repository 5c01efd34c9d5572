"""json, jsonArray, base64Encode and base64Decode."""

import binascii
from typing import Final

from discovery.gotemplate.confd.jsontext import parsed
from discovery.gotemplate.errors import FunctionError
from discovery.gotemplate.functions import STRING, Function, FunctionMap
from discovery.gotemplate.limits import Budget
from discovery.gotemplate.text import decoded, encoded
from discovery.gotemplate.values import ANYTHINGS, List, Value

_ALPHABET: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_KINDS: Final = {str: "string", bool: "bool", dict: "object", List: "array"}
_QUANTUM: Final = 4


def _json(budget: Budget, text: str) -> dict[str, Value]:
    value = parsed(budget, text)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _mismatch(value, "map[string]interface {}")
    return value


def _json_array(budget: Budget, text: str) -> List:
    value = parsed(budget, text)
    if value is None:
        return List(ANYTHINGS, [], nil=True)
    if not isinstance(value, List):
        raise _mismatch(value, "[]interface {}")
    return value


def _mismatch(value: Value, wanted: str) -> FunctionError:
    kind = _KINDS.get(type(value), "number")
    return FunctionError(f"json: cannot unmarshal {kind} into Go value of type {wanted}")


def _encode(budget: Budget, text: str) -> str:
    raw = encoded(text)
    budget.hold(2 * len(raw))
    return binascii.b2a_base64(raw, newline=False).decode("ascii")


def _decode(budget: Budget, text: str) -> str:
    raw = encoded(text)
    budget.hold(2 * len(raw))
    digits = bytearray()
    at = 0
    while at < len(raw):
        byte = raw[at]
        if byte in b"\r\n":
            at += 1
            continue
        if byte not in _ALPHABET:
            if byte == ord("="):
                _check_padding(raw, at, len(digits))
                break
            raise _illegal(at)
        digits.append(byte)
        at += 1
    else:
        if len(digits) % _QUANTUM:
            # Go names the beginning of what is not whole.
            raise _illegal(len(raw) - len(digits) % _QUANTUM)
    digits += b"=" * (-len(digits) % _QUANTUM)
    return decoded(binascii.a2b_base64(bytes(digits)))


def _check_padding(raw: bytes, at: int, digits: int) -> None:
    """What may stand at the end: one `=` after three digits, two after two, then nothing."""
    over = digits % _QUANTUM
    if over < _QUANTUM // 2:
        raise _illegal(at)
    at += 1
    if over == _QUANTUM // 2:
        while at < len(raw) and raw[at] in b"\r\n":
            at += 1
        if at == len(raw):
            raise _illegal(len(raw))
        if raw[at] != ord("="):
            raise _illegal(at - 1)
        at += 1
    while at < len(raw) and raw[at] in b"\r\n":
        at += 1
    if at < len(raw):
        raise _illegal(at)


def _illegal(at: int) -> FunctionError:
    return FunctionError(f"illegal base64 data at input byte {at}")


ENCODINGS: Final[FunctionMap] = {
    "json": Function(_json, (STRING,)),
    "jsonArray": Function(_json_array, (STRING,)),
    "base64Encode": Function(_encode, (STRING,)),
    "base64Decode": Function(_decode, (STRING,)),
}
