"""The first screen of the submission: the models in a table, a paragraph of findings, and a picture."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import bs4
from executed import Notebook, duration
from results import Results, Score

# The picture that notebook 7 keeps.
PICTURE = "predictions"


@dataclass
class FirstScreen:
    """The part above the first notebook. Empty parts are left out."""

    rows: list[dict]
    caption: str
    findings: str
    figure: str


def first_screen(results: Results, figures: Path, notebooks: list[Notebook]) -> FirstScreen | None:
    """The first screen for these results; none if there are no results."""
    if not results.files:
        return None
    known = {book.prefix for book in notebooks}
    images = {score.images for score in results.scores}
    on = f"the same {images.pop():,} test images" if len(images) == 1 else "test images, not all on the same"
    return FirstScreen(
        rows=[row_of(score, known) for score in results.scores],
        caption=f"The models on {on}, the most accurate first.",
        findings=" ".join(findings(results)),
        figure=best_figure(figures, notebooks),
    )


def row_of(score: Score, known: set[str]) -> dict:
    return {
        "name": score.name[0].upper() + score.name[1:],
        "link": score.notebook if score.notebook in known else "",
        "accuracy": percent(score.accuracy),
        "interval": f"{percent(score.low)} to {percent(score.high)}",
        "parameters": f"{score.parameters:,}",
        "epochs": str(score.epochs),
        "time": duration(score.fit_seconds),
    }


def findings(results: Results) -> list[str]:
    """Sentences about the best model, the models that do not differ from it significantly, and the autoencoder."""
    said = []
    if results.scores:
        best, *others = results.scores
        said.append(
            f"The {best.name} is right most often, on {percent(best.accuracy)}% of {best.images:,} test images "
            f"(95% interval {percent(best.low)} to {percent(best.high)}%)."
        )
        near = [other for other in others if other.high >= best.low]
        far = [other for other in others if other.high < best.low]
        if far:
            said.append(f"Its interval lies above {listed(far)}.")
        if near:
            said.append(f"{'It' if far else 'Its interval'} overlaps {listed(near)}: accuracy alone does not tell them apart.")
    if found := results.denoising:
        verb = "raises" if found.restored > found.noisy else "changes"
        said.append(
            f"The autoencoder's code holds {100 * found.rate:.1f}% as many values as an image, and {verb} the PSNR of noisy "
            f"images from {found.noisy:.1f} to {found.restored:.1f} dB."
        )
    return said


def percent(share: float) -> str:
    return f"{100 * share:.2f}"


def listed(scores: list[Score]) -> str:
    """Names with their accuracy, as in a sentence."""
    texts = [f"the {score.name} ({percent(score.accuracy)}%)" for score in scores]
    names = texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
    return f"{'that' if len(texts) == 1 else 'those'} of {names}"


def best_figure(figures: Path, notebooks: list[Notebook]) -> str:
    """A saved figure as in its notebook, with its description and its caption; empty if no notebook shows one."""
    try:
        data = base64.b64encode((figures / f"{PICTURE}.png").read_bytes()).decode()
    except OSError:
        return ""
    for book in notebooks:
        if data not in book.html:
            continue
        picture = bs4.BeautifulSoup(book.html, "html.parser").find("img", src=lambda src: src.endswith(data))
        figure = picture and picture.find_parent("figure")
        if figure:
            for link in figure.find_all("a"):  # they lead from the notebook's place
                link.unwrap()
            for element in [figure, *figure.find_all(id=True)]:  # the notebook's own keeps the name
                del element["id"]
            return str(figure)
    return ""
