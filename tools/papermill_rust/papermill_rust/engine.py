"""Runs Rust notebooks with papermill's own engine, which stops at the first cell that fails, because the kernel reports
errors.

Additions: the kernel runs in the notebook's own folder, so that its relative paths are valid; the translator knows the
declared parameters; displays that a cell replaces are logged (``live``); and a run ends with the program that started
it.
"""

import os
import re
import sys
import threading
import time
from pathlib import Path

import click
from papermill.engines import Engine, NBClientEngine, papermill_engines
from papermill.exceptions import PapermillException
from papermill.utils import nb_language

from . import live  # noqa: F401
from .declarations import declared_by
from .parameters import RustTranslator

# Environment variable with the process number of the program that runs notebooks, so that papermill ends with it.
PARENT_VARIABLE = "NOTEBOOK_RUN_PARENT"


def end_with_parent():
    """If a program that runs notebooks started this process, ends it soon after that program. Otherwise a killed run
    would go on training for hours, and write its results over those of the next run."""
    # Removed, because the processes that a cell starts have another parent and must not check it.
    starter = os.environ.pop(PARENT_VARIABLE, None)
    if starter is None:
        return
    parent = os.getppid()
    if starter != str(parent):
        print(
            f"error: the program that started this run (process {starter}) is gone; start the run again",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class WrongFolderError(PapermillException, click.ClickException):
    """The notebook's paths do not fit the folder in which it runs. On the command line: one line, no traceback."""


def check_dependencies(nb, directory):
    """Refuses a folder if a crate of the notebook is not at the path in its ``:dep`` line.

    A notebook from standard input (``papermill - -``) has no folder, so its paths are relative to the current one.
    """
    for path in re.findall(r'^\s*:dep\b.*?\bpath\s*=\s*"([^"]+)"', "\n".join(cell.source for cell in nb.cells), re.M):
        if not Path(directory, path).is_dir():
            raise WrongFolderError(
                f"the notebook runs in {directory}, and its crate `{path}` is not there: "
                "give the command in the notebook's own folder, or name that one: --cwd notebooks"
            )


class RustEngine(NBClientEngine):
    """The engine of Rust notebooks."""

    # The working directory before papermill enters --cwd.
    _directory = None

    @classmethod
    def nb_language(cls, nb, language=None):
        # papermill calls this just before it translates the parameters.
        RustTranslator.declared = declared_by(nb)
        return super().nb_language(nb, language)

    @classmethod
    def nb_kernel_name(cls, nb, name=None):
        # papermill calls this just before it enters --cwd.
        cls._directory = os.getcwd()
        return super().nb_kernel_name(nb, name)

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, input_path=None, **options):
        end_with_parent()
        directory = cls._kernel_directory(input_path)
        check_dependencies(nb_man.nb, directory)
        options["resources"] = {"metadata": {"path": directory}}
        return super().execute_managed_notebook(nb_man, kernel_name, **options)

    @classmethod
    def _kernel_directory(cls, input_path):
        """The notebook's own folder, as in JupyterLab, so that its relative paths are valid; with --cwd that folder,
        which is the current directory then."""
        here = os.getcwd()
        if cls._directory not in (None, here) or not input_path:
            return here
        folder = Path(here, input_path).parent
        return str(folder) if folder.is_dir() else here


class DefaultEngine(Engine):
    """The engine that papermill uses if the command line names none: for Rust this one, else papermill's own."""

    other = NBClientEngine

    @classmethod
    def _engine(cls, nb):
        try:
            language = nb_language(nb)
        except ValueError:
            language = ""
        return RustEngine if language.lower() == "rust" else cls.other

    @classmethod
    def nb_language(cls, nb, language=None):
        return cls._engine(nb).nb_language(nb, language)

    @classmethod
    def nb_kernel_name(cls, nb, name=None):
        return cls._engine(nb).nb_kernel_name(nb, name)

    @classmethod
    def execute_notebook(cls, nb, kernel_name, *arguments, **options):
        return cls._engine(nb).execute_notebook(nb, kernel_name, *arguments, **options)


papermill_engines.register(None, DefaultEngine)
