"""The declarations in the cell tagged ``parameters``: the only parser of such a cell.

It contains ``let`` lines: ``let epochs: usize = 50; // at most``. papermill's translator, the lint, the export and
``cargo xtask run`` all use this parser; the last one as a program, which does not need papermill:

    python -m papermill_rust.declarations notebooks/*.ipynb    # a list of declarations a notebook, as JSON
"""

import json
import re
import sys
from dataclasses import asdict, dataclass, replace

from .literals import INTEGERS, Type, parse_type

TAG = "parameters"


@dataclass(frozen=True)
class Declaration:
    """One ``let`` of a parameters cell."""

    name: str
    default: str
    annotation: str | None = None
    comment: str = ""
    mutable: bool = False

    @property
    def kind(self):
        """The type, if it has literals."""
        return parse_type(self.annotation) if self.annotation else type_of(self.default)

    @property
    def text(self):
        """The default as a reader would write it: a string without its quotes."""
        return self.default[1:-1] if re.fullmatch(r'"[^"\\]*"', self.default) else self.default


# A string, raw or not, a character or a lifetime, a comment, a word or number, else one character.
TOKEN = re.compile(
    r"""(?P<string>b?r(?P<hashes>\#*)".*?"(?P=hashes)|b?"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^'\\])')"""
    r"""|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<word>\w+)|(?P<space>\s+)|(?P<sign>.)""",
    re.DOTALL | re.VERBOSE,
)


def statements(source):
    """The statements of Rust source, without comments, in order; the last may lack its semicolon."""
    return [text for text, _ in _statements(source)]


def _statements(source):
    """Each statement without comments, and the comment that follows it on its line."""
    found, tokens, line = [], [], None

    def end(position):
        nonlocal tokens, line
        if text := "".join(tokens).strip():
            found.append((text, ""))
            line = position
        tokens = []

    for match in TOKEN.finditer(source):
        token = match.group()
        if match["comment"]:
            follows = line is not None and "\n" not in source[line : match.start()]
            if follows and not "".join(tokens).strip() and token.startswith("//"):
                found[-1] = (found[-1][0], token.lstrip("/").strip())
            continue
        tokens.append(token)
        if token == ";" and _depth(tokens) == 0:
            end(match.end())
    end(len(source))
    return found


def declarations(source):
    """All ``let`` statements of a parameters cell, in order; others are ignored."""
    found = [(declaration(text), comment) for text, comment in _statements(source)]
    return [replace(one, comment=comment) for one, comment in found if one]


def _depth(tokens):
    return sum((token in "([{") - (token in ")]}") for token in tokens if len(token) == 1)


def declaration(statement):
    """The :class:`Declaration` in a statement, or None."""
    match = re.fullmatch(
        r"\s*let\s+(?P<mutable>mut\s+)?(?P<name>\w+)\s*(?::(?P<annotation>[^=]+))?=(?!=)(?P<default>.+);",
        statement,
        re.DOTALL,
    )
    if not match:
        return None
    annotation = match["annotation"]
    return Declaration(
        name=match["name"],
        default=" ".join(match["default"].split("\n")).strip(),
        annotation=annotation.strip() if annotation else None,
        mutable=bool(match["mutable"]),
    )


def type_of(source):
    """The type of a default, from its literal, or None."""
    source = source.strip()
    if source in ("true", "false"):
        return Type("bool")
    if re.fullmatch(r'r?#*".*"#*', source, re.DOTALL):
        return Type("&str")
    if re.fullmatch(r'String::(from\(.*\)|new\(\))|".*"\.(to_string|to_owned|into_string)\(\)', source, re.DOTALL):
        return Type("String")
    if re.fullmatch(r"'(\\.[^']*|[^'\\])'", source):
        return Type("char")
    if match := re.fullmatch(r"-?\s*(0x[0-9a-f_]+?|0o[0-7_]+|0b[01_]+|\d[\d_]*?)_?([iu](?:\d+|size))?", source, re.I):
        return Type(match[2] or "i32") if (match[2] or "i32") in INTEGERS else None
    if match := re.fullmatch(r"-?\s*\d[\d_]*(?:\.[\d_]*)?(?:e[+-]?[\d_]+)?_?(f32|f64)?", source, re.I):
        return Type(match[1] or "f64")
    if match := re.fullmatch(r"-?\s*(?:std::)?(f32|f64)::(?:consts::)?[A-Z_0-9]+", source):
        return Type(match[1])
    if match := re.fullmatch(r"Some\((.*)\)", source, re.DOTALL):
        inner = type_of(match[1])
        return Type("Option", (inner,)) if inner else None
    if match := re.fullmatch(r"(vec!)?\s*\[(.*)\]", source, re.DOTALL):
        kinds = {type_of(element) for element in _split(match[2])}
        if len(kinds) != 1 or None in kinds:
            return None
        elements = _split(match[2])
        return Type("Vec", tuple(kinds)) if match[1] else Type("array", tuple(kinds), len(elements))
    return None


def _split(source):
    """The elements of a list, split at its commas."""
    elements, element, depth = [], "", 0
    for match in TOKEN.finditer(source):
        text = match.group()
        if len(text) == 1:
            depth += (text in "([{") - (text in ")]}")
        if text == "," and depth == 0:
            elements.append(element)
            element = ""
        else:
            element += text
    return [element for element in [*elements, element] if element.strip()]


def source_of(cell):
    """The text of a cell, which may be a list of lines in the file."""
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else str(source)


def is_parameters_cell(cell):
    """Whether a cell is tagged ``parameters``."""
    return TAG in (cell.get("metadata", {}).get("tags") or [])


def declared_by(nb):
    """The declarations of a notebook's parameters cell; none without such a cell."""
    cells = [cell for cell in nb["cells"] if is_parameters_cell(cell)]
    return declarations(source_of(cells[0])) if cells else []


def main(paths):
    found = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                found.append([asdict(one) for one in declared_by(json.load(file))])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            sys.exit(f"{path} is not a notebook: {error}")
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
