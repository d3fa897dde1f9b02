"""New values for the parameters of a notebook, in the form that papermill needs.

A new value has the type of the default that it replaces: the declared type, or that of the literal.
"""

import difflib

import click
from papermill.exceptions import PapermillException
from papermill.models import Parameter
from papermill.translators import Translator, papermill_translators

from .declarations import Declaration, declarations
from .literals import LiteralError, infer, literal

# papermill's own parameters, for --inject-paths.
BUILT_IN = ("PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")


class ParameterError(PapermillException, click.ClickException):
    """A parameter that does not fit the notebook. On the command line: one line, no traceback."""


def assignment(declaration, value):
    """The ``let`` line that sets a declared parameter to another value."""
    name = f"mut {declaration.name}" if declaration.mutable else declaration.name
    kind, annotation = declaration.kind, declaration.annotation
    try:
        if annotation and not kind:
            raise LiteralError(f"its type `{annotation}` has no literals papermill_rust can write")
        kind = kind or infer(value)
        return f"let {name}: {annotation or kind} = {literal(value, kind)};"
    except LiteralError as error:
        raise ParameterError(f"parameter `{declaration.name}`: {error}") from None


class RustTranslator(Translator):
    """Parameters as ``let`` lines of Rust."""

    # The notebook's declarations, set by the engine, which papermill calls just before it translates.
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
            lines += [assignment(Declaration(name, ""), value) for name, value in parameters.items()]
        else:
            known = {declaration.name: declaration for declaration in declared}
            known |= {name: Declaration(name, '""') for name in BUILT_IN if name not in known}
            for name in parameters:
                if name not in known:
                    raise ParameterError(_unknown(name, [declaration.name for declaration in declared]))
            lines += [assignment(known[name], value) for name, value in parameters.items()]
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


# evcxr itself writes the language "Rust" into the notebooks that it runs.
for language in ("rust", "Rust"):
    papermill_translators.register(language, RustTranslator)
