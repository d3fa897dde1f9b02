"""Rust types, and Python values written as Rust literals of these types.

Start at :func:`literal`. A value from a command line or a YAML file is a bool, an int, a float, a str, a list, a dict
or None; the type decides what it means.
"""

import json
import math
import re
import struct
import unicodedata
from dataclasses import dataclass

INTEGERS = {
    f"{sign}{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if sign == "i" else (0, 2**bits - 1)
    for sign in "iu"
    for bits in (8, 16, 32, 64, 128)
}
INTEGERS |= {"isize": INTEGERS["i64"], "usize": INTEGERS["u64"]}
FLOATS = ("f32", "f64")
STRINGS = ("&str", "String")
MAPS = ("BTreeMap", "HashMap")


class LiteralError(ValueError):
    """A value that does not fit the requested type."""


@dataclass(frozen=True)
class Type:
    """A Rust type: its name, and the types of its elements.

    Names other than Rust's are ``array`` (with its length, if known), ``slice`` (behind a
    reference) and ``tuple``.
    """

    name: str
    arguments: tuple["Type", ...] = ()
    length: int | None = None

    def __str__(self):
        inner = ", ".join(map(str, self.arguments))
        match self.name:
            case "array":
                return f"[{inner}; {'_' if self.length is None else self.length}]"
            case "slice":
                return f"&[{inner}]"
            case "tuple":
                return f"({inner},)" if len(self.arguments) == 1 else f"({inner})"
            case "BTreeMap" | "HashMap":
                return f"std::collections::{self.name}<{inner}>"
            case _:
                return f"{self.name}<{inner}>" if self.arguments else self.name


def parse_type(text):
    """The :class:`Type` with the name ``text``, or None if it has no literals."""
    tokens = re.findall(r"'\w+|\w+|::|[^\s\w]", text)
    try:
        parsed = _parse(tokens)
    except (IndexError, ValueError):
        return None
    return parsed if not tokens else None


def _parse(tokens):
    token = tokens.pop(0)
    if token == "&":
        if tokens[0].startswith("'"):
            tokens.pop(0)
        inner = _parse(tokens)
        if inner.name == "str":
            return Type("&str")
        if inner.name == "array" and inner.length is None:
            return Type("slice", inner.arguments)
        raise ValueError(token)
    if token == "[":
        inner = _parse(tokens)
        separator = tokens.pop(0)
        length = None
        if separator == ";":
            length = int(tokens.pop(0).replace("_", ""))
            separator = tokens.pop(0)
        return _expect(separator, "]", Type("array", (inner,), length))
    if token == "(":
        return Type("tuple", _arguments(tokens, ")"))
    while tokens and tokens[0] == "::":  # std::string::String is String
        tokens.pop(0)
        token = tokens.pop(0)
    if tokens and tokens[0] == "<":
        tokens.pop(0)
        parsed = Type(token, _arguments(tokens, ">"))
        counts = {"Vec": 1, "Option": 1, "BTreeMap": 2, "HashMap": 2}
        if counts.get(token) != len(parsed.arguments):
            raise ValueError(token)
        return parsed
    if token in INTEGERS or token in FLOATS or token in ("bool", "char", "str", "String"):
        return Type(token)
    raise ValueError(token)


def _arguments(tokens, end):
    parsed = []
    while tokens[0] != end:
        parsed.append(_parse(tokens))
        if tokens[0] == ",":
            tokens.pop(0)
    tokens.pop(0)
    return tuple(parsed)


def _expect(token, wanted, parsed):
    if token != wanted:
        raise ValueError(token)
    return parsed


def literal(value, kind=None):
    """``value`` as Rust source of the type ``kind``; without ``kind``, of the type that :func:`infer` returns.

    The source is for a place with an explicit type: ``let NAME: KIND = LITERAL;``.

    Raises:
        LiteralError: if ``value`` does not fit that type; the message says what is expected.
    """
    kind = kind or infer(value)
    name = kind.name
    if name == "Option":
        return "None" if value is None else f"Some({literal(value, kind.arguments[0])})"
    if name == "bool":
        return _bool(value, kind)
    if name in INTEGERS:
        return _integer(value, kind)
    if name in FLOATS:
        return _float(value, kind)
    if name in STRINGS:
        return _string(value, kind)
    if name == "char":
        if not isinstance(value, str) or len(value) != 1:
            raise _wrong(value, kind)
        return "'" + _escape(value, "'") + "'"
    if name in MAPS:
        return _map(value, kind)
    return _sequence(value, kind)


def infer(value):
    """The default type for ``value``: the one that Rust itself would choose."""
    return _join([value])


# The type of a value without information: of None alone, or of the elements of an empty list.
NOTHING = Type("Option", (Type("tuple"),))


def _join(values):
    """The common type of all ``values``, for the elements of a list."""
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        return Type("Option", (_join(present),)) if present else NOTHING
    if not present:
        return NOTHING
    if all(isinstance(value, bool) for value in present):
        return Type("bool")
    numbers = [value for value in present if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) == len(present):
        if any(isinstance(value, float) for value in numbers):
            return Type("f64")
        for name in ("i32", "i64", "u64", "i128", "u128"):
            low, high = INTEGERS[name]
            if all(low <= value <= high for value in numbers):
                return Type(name)
        raise LiteralError(f"no integer type of Rust holds all of {present}")
    if all(isinstance(value, str) for value in present):
        return Type("&str")
    if all(isinstance(value, (list, tuple)) for value in present):
        return Type("Vec", (_join([element for value in present for element in value]),))
    if all(isinstance(value, dict) for value in present):
        keys = [key for value in present for key in value]
        return Type("BTreeMap", (_join(keys), _join([element for value in present for element in value.values()])))
    raise LiteralError(f"{_show(values)} mixes kinds; a Rust list or map holds one type")


def _bool(value, kind):
    if isinstance(value, str) and value in ("true", "false"):  # papermill itself knows True and False only
        return value
    if not isinstance(value, bool):
        raise _wrong(value, kind)
    return "true" if value else "false"


def _integer(value, kind):
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(value, kind)
    low, high = INTEGERS[kind.name]
    if not low <= value <= high:
        raise LiteralError(f"{value} is outside `{kind}`, which holds {low} to {high}")
    return str(value)


def _float(value, kind):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(value, kind)
    try:
        value = float(value)
        if kind.name == "f32" and math.isfinite(value):
            struct.pack("<f", value)
    except OverflowError:
        raise LiteralError(f"{value} is too large for `{kind}`") from None
    if math.isnan(value):
        return f"{kind.name}::NAN"
    if math.isinf(value):
        return f"{kind.name}::{'NEG_' if value < 0 else ''}INFINITY"
    return repr(value)


def _string(value, kind):
    if isinstance(value, (list, tuple, dict)):
        raise _wrong(value, kind)
    # The command line parses 5, 0.5, True and None as numbers, bool and None; here they become text again.
    text = quote(str(value))
    return f"String::from({text})" if kind.name == "String" else text


def quote(text):
    """``text`` as a Rust string literal, always on one line."""
    return '"' + _escape(text, '"') + '"'


def _escape(text, delimiter):
    short = {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\0": r"\0", delimiter: "\\" + delimiter}
    written = []
    for character in text:
        category = unicodedata.category(character)
        if character in short:
            written.append(short[character])
        elif category == "Cs":
            raise LiteralError(f"{text!r} holds half a surrogate pair, which is no text in Rust")
        elif category[0] == "C" or category in ("Zl", "Zp"):
            # Control and direction characters: they are invisible, and the compiler refuses some of them.
            written.append(f"\\u{{{ord(character):x}}}")
        else:
            written.append(character)
    return "".join(written)


def _sequence(value, kind):
    value = _read_text(value)
    if not isinstance(value, (list, tuple)):
        raise _wrong(value, kind)
    if kind.name == "tuple":
        _check_length(value, len(kind.arguments), kind)
        elements = [literal(element, inner) for element, inner in zip(value, kind.arguments)]
        return f"({elements[0]},)" if len(elements) == 1 else f"({', '.join(elements)})"
    if kind.length is not None:
        _check_length(value, kind.length, kind)
    opening = {"Vec": "vec![", "slice": "&["}.get(kind.name, "[")
    return opening + ", ".join(literal(element, kind.arguments[0]) for element in value) + "]"


def _map(value, kind):
    value = _read_text(value)
    if not isinstance(value, dict):
        raise _wrong(value, kind)
    key, element = kind.arguments
    pairs = ", ".join(f"({literal(k, key)}, {literal(v, element)})" for k, v in value.items())
    return f"std::collections::{kind.name}::from([{pairs}])"


def _read_text(value):
    """A list or map that is given as text, as in ``-p layers '[64, 32]'``."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _check_length(value, length, kind):
    if len(value) != length:
        raise LiteralError(f"{_show(value)} has {len(value)} elements, `{kind}` has {length}")


def _wrong(value, kind):
    examples = {"bool": "true", "char": "x", "Vec": "[1, 2]", "tuple": "[1, 2]", "array": "[1, 2]"}
    example = examples.get(kind.name, "7" if kind.name in INTEGERS else "0.5" if kind.name in FLOATS else None)
    return LiteralError(f"{_show(value)} is no `{kind}`" + (f" (such as {example})" if example else ""))


def _show(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
