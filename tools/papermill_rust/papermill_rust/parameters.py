"""What the cell tagged ``parameters`` declares, and new values for it.

Such a cell holds ``let`` lines: ``let epochs: usize = 50; // at most``. A new value takes the type of
the default it replaces: written there, or told by the literal.
"""

import difflib
import re
from dataclasses import dataclass

import click
from papermill.exceptions import PapermillException
from papermill.models import Parameter
from papermill.translators import Translator, papermill_translators
from papermill.utils import find_first_tagged_cell_index

from .literals import INTEGERS, LiteralError, Type, infer, literal, parse_type

# papermill's own, on request: --inject-paths.
BUILT_IN = ("PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")


class ParameterError(PapermillException, click.ClickException):
    """A parameter that the notebook cannot take. On the command line: one line, no traceback."""


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
        """The type, if it is one that has literals."""
        return parse_type(self.annotation) if self.annotation else type_of(self.default)

    def assign(self, value):
        """The ``let`` line that gives the parameter another value."""
        name = f"mut {self.name}" if self.mutable else self.name
        kind = self.kind
        try:
            if self.annotation and not kind:
                raise LiteralError(f"its type `{self.annotation}` has no literals papermill_rust can write")
            kind = kind or infer(value)
            return f"let {name}: {self.annotation or kind} = {literal(value, kind)};"
        except LiteralError as error:
            raise ParameterError(f"parameter `{self.name}`: {error}") from None


# A string, raw or not, a character or a lifetime, a comment, a word or number, else one character.
TOKEN = re.compile(
    r"""(?P<string>b?r(?P<hashes>\#*)".*?"(?P=hashes)|b?"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^'\\])')"""
    r"""|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<word>\w+)|(?P<space>\s+)|(?P<sign>.)""",
    re.DOTALL | re.VERBOSE,
)


def declarations(source):
    """All ``let`` statements of a parameters cell, in order; anything else is passed over."""
    found, statement, line = [], [], None
    for match in TOKEN.finditer(source):
        text = match.group()
        if match["comment"]:
            same_line = line is not None and "\n" not in source[line : match.start()]
            if found and same_line and not "".join(statement).strip() and text.startswith("//"):
                found[-1] = Declaration(**{**vars(found[-1]), "comment": text.lstrip("/").strip()})
            continue
        statement.append(text)
        if text == ";" and _depth(statement) == 0:
            declaration = _declaration("".join(statement))
            statement, line = [], None
            if declaration:
                found.append(declaration)
                line = match.end()
    return found


def _depth(tokens):
    return sum((token in "([{") - (token in ")]}") for token in tokens if len(token) == 1)


def _declaration(statement):
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
    """The type that a default's own text tells, or None."""
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
    """The elements of a list, at its commas."""
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


class RustTranslator(Translator):
    """Parameters as ``let`` lines of Rust."""

    # What the notebook declares, from the engine, which papermill asks just before it translates.
    declared = None

    @classmethod
    def comment(cls, cmt_str):
        return f"// {cmt_str}".rstrip()

    @classmethod
    def translate(cls, val):
        return literal(val)

    @classmethod
    def codify(cls, parameters, comment="Parameters"):
        declared, cls.declared = cls.declared, None
        lines = [cls.comment(comment)]
        if declared is None:
            lines += [Declaration(name, "").assign(value) for name, value in parameters.items()]
        else:
            known = {declaration.name: declaration for declaration in declared}
            known |= {name: Declaration(name, '""') for name in BUILT_IN if name not in known}
            for name in parameters:
                if name not in known:
                    raise ParameterError(_unknown(name, [declaration.name for declaration in declared]))
            lines += [known[name].assign(value) for name, value in parameters.items()]
        return "\n".join(lines) + "\n"

    @classmethod
    def inspect(cls, parameters_cell):
        return [
            Parameter(
                name=declaration.name,
                inferred_type_name=declaration.annotation or str(declaration.kind),
                default=declaration.default,
                help=declaration.comment,
            )
            for declaration in declarations(parameters_cell["source"])
        ]


def _unknown(name, names):
    if not names:
        return f"parameter `{name}`: the notebook has no cell tagged `parameters` that declares one"
    close = difflib.get_close_matches(name, names, 1)
    guess = f"; did you mean `{close[0]}`?" if close else ""
    return f"the notebook has no parameter `{name}`, only {', '.join(names)}{guess}"


def declared_by(nb):
    """The declarations of a notebook's parameters cell; none without such a cell."""
    index = find_first_tagged_cell_index(nb, "parameters")
    return declarations(nb.cells[index].source) if index >= 0 else []


# evcxr itself writes "Rust" into the notebooks it runs.
for language in ("rust", "Rust"):
    papermill_translators.register(language, RustTranslator)
