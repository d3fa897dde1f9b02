"""The head, the first screen and the foot of the pages: their author, the results, and how they were made."""

import json
import re
from pathlib import Path

import executed
import export
import first_screen
import pytest
import record
import results
import synthetic
import synthetic_results
from nbformat.v4 import new_code_cell, new_markdown_cell


def pairs(element) -> dict[str, list[str]]:
    """A `dl` as names and values."""
    return {group.dt.text: [value.text for value in group.find_all("dd")] for group in element.find_all("div")}


# ---------------------------------------------------------------- head


def test_a_quick_run_says_so(exported):
    pages = exported(n01_data_loading=synthetic.data_loading(quick=True))
    for page in pages.values():
        assert page.select_one(".banner").text.startswith("Quick run: small sample, few epochs")


def test_a_full_run_has_no_banner(exported):
    for page in exported(n01_data_loading=synthetic.data_loading()).values():
        assert page.select_one(".banner") is None


def test_a_run_that_is_quick_in_part_names_the_part(exported):
    pages = exported(
        n01_data_loading=synthetic.data_loading(quick=True), n06_cnn_training=synthetic.cnn_training()
    )
    assert (
        pages["submission"].select_one(".banner").text
        == "Partly a quick run (small sample, few epochs): 01_data_loading."
    )


def test_the_head_names_author_course_data_and_time(exported):
    about = {"author": "Ada <b>Example</b>", "course": "Deep learning & more"}
    pages = exported(about, n01_data_loading=synthetic.data_loading(quick=True, seed=7))
    for page in pages.values():
        assert pairs(page.select_one(".facts")) == {
            "Author": ["Ada <b>Example</b>"],
            "Course": ["Deep learning & more"],
            "Data": ["../data/sample"],
            "Images": ["sample of 2,000"],
            "Run": ["22 November 2026, 20:01 UTC, 48 s"],
        }


def test_author_and_course_are_left_out_where_nobody_gave_them(exported):
    head = exported(n01_data_loading=synthetic.data_loading())["submission"].select_one(".facts")
    assert not {"Author", "Course"} & set(pairs(head))


def test_the_command_takes_title_author_and_course(made_up, tmp_path):
    words = ["--title", "My title", "--author", "Ada Example", "--course", "Deep learning"]
    assert export.main(["--executed", str(made_up), "--out", str(tmp_path), *words]) == 0
    text = (tmp_path / "submission.html").read_text()
    for word in words[1::2]:
        assert word in text


# ---------------------------------------------------------------- first screen


@pytest.fixture
def with_results(exported, tmp_path):
    """Exports two notebooks with these metrics; returns `submission.html`, parsed."""

    def run(files: dict, **books):
        synthetic_results.write_results(tmp_path / "in", files)
        books = books or {"n06_cnn_training": synthetic.cnn_training()}
        pages = exported(**books)
        run.pages, run.warnings = pages, exported.warnings
        return pages["submission"]

    return run


def rows(page) -> list[list[str]]:
    return [[cell.text for cell in row.find_all(["th", "td"])] for row in page.select(".first tbody tr")]


def test_the_models_stand_in_a_table_the_best_first_with_intervals(with_results):
    page = with_results(synthetic_results.all_metrics())
    found = rows(page)
    assert [row[:3] for row in found] == [
        ["Fine-tuned EfficientNet", "95.25", "94.77 to 95.68"],
        ["Convolutional network", "94.98", "94.50 to 95.40"],
        ["Dense network", "91.14", "90.52 to 91.73"],
        ["Tuned dense network", "90.71", "90.08 to 91.31"],
    ]
    assert found[0][3:] == ["1,496,074", "41", "2 min 34 s"]
    assert "same 8,400 test images" in page.select_one(".first .caption").text
    # Models are linked to the notebooks that exist, and to no others.
    assert [(link.text, link["href"]) for link in page.select(".first a")] == [("Convolutional network", "#nb06")]


def test_helpers_and_the_first_screen_call_a_model_the_same():
    names = (Path(__file__).parents[3] / "helpers/src/artifacts/names.rs").read_text(encoding="utf-8")
    table = dict(re.findall(r'^    \("(\w+)", "(.+)"\),$', names, re.MULTILINE))
    assert table == {file: name for file, (name, _) in results.MODELS.items()}


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0.4 s"), (41.2, "41 s"), (154.1, "2 min 34 s")])
def test_a_duration_is_never_0_s(seconds, text):
    assert executed.duration(seconds) == text


def test_the_findings_say_which_models_are_told_apart(with_results):
    text = with_results(synthetic_results.all_metrics()).select_one(".findings").text
    assert "The fine-tuned EfficientNet is right most often, on 95.25% of 8,400 test images" in text
    assert "lies above those of the dense network (91.14%) and the tuned dense network (90.71%)" in text
    assert "It overlaps that of the convolutional network (94.98%): accuracy alone does not tell them apart" in text
    assert "from 5.1 to 19.1 dB" in text


def test_where_no_model_is_told_apart_the_findings_say_so(with_results):
    files = {"baseline": synthetic_results.metrics(0.7, 0.6, 0.8), "cnn": synthetic_results.metrics(0.75, 0.65, 0.85)}
    text = with_results(files).select_one(".findings").text
    assert "Its interval overlaps that of the dense network (70.00%): accuracy alone" in text
    assert "above" not in text and "autoencoder" not in text


def test_only_pages_with_all_notebooks_have_a_first_screen(with_results):
    with_results(synthetic_results.all_metrics())
    assert with_results.pages["06_cnn_training"].select_one(".first") is None


def test_without_metrics_there_is_no_first_screen_and_no_complaint(exported):
    page = exported(n06_cnn_training=synthetic.cnn_training())["submission"]
    assert page.select_one(".first") is None
    assert exported.warnings == []


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        (synthetic_results.metrics(0.9, 0.8, 0.95, schema=2), "schema 2, and this reads 1"),
        (synthetic_results.metrics(float("nan"), 0.8, 0.95), "nan is not a number"),
        (synthetic_results.metrics(91.2, 0.8, 0.95), "91.2 is not between 0 and 1"),
        (synthetic_results.metrics("<b>", 0.8, 0.95), "'<b>' is not a number"),
        (synthetic_results.metrics(0.9, 0.8, 0.95, parameters=1.5), "1.5 is not a whole number"),
        (synthetic_results.metrics(0.9, 0.8, 0.95, test={}), "no 'accuracy_ci95'"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_metrics_that_cannot_be_read_are_left_out_with_a_note(with_results, broken, reason):
    page = with_results({"cnn": broken, "baseline": synthetic_results.metrics(0.9, 0.8, 0.95)})
    assert [row[0] for row in rows(page)] == ["Dense network"]
    assert len(with_results.warnings) == 1
    assert with_results.warnings[0].startswith("metrics/cnn.json is left out of the first screen:")
    assert reason in with_results.warnings[0]


def test_the_notebooks_of_the_table_are_those_that_make_the_metrics():
    folder = export.Path(export.__file__).parents[2] / "notebooks"
    for name, (_, prefix) in results.MODELS.items():
        (path,) = folder.glob(f"{prefix[2:]}_*.ipynb")
        source = "".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])
        assert f'Run::new("{name}"' in source


def test_the_picture_is_one_that_a_notebook_keeps():
    folder = export.Path(export.__file__).parents[2] / "notebooks"
    sources = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.ipynb"))
    assert rf'.keep(&run, \"{first_screen.PICTURE}\")' in sources


def test_the_picture_is_one_that_a_notebook_shows_with_its_description(with_results, tmp_path):
    synthetic_results.write_picture(tmp_path / "in", first_screen.PICTURE)
    page = with_results(synthetic_results.all_metrics())
    figure = page.select_one(".first figure")
    assert figure.img["alt"] == "Loss per epoch, falling"
    assert figure.figcaption.text.startswith("Figure 1.")
    assert page.find("article")["data-pictures"] == "1"


def test_a_picture_that_no_notebook_shows_is_not_on_the_first_screen(with_results, tmp_path):
    synthetic_results.write_picture(tmp_path / "in")
    page = with_results(synthetic_results.all_metrics(), n01_data_loading=synthetic.notebook([new_markdown_cell("# 1. A")]))
    assert page.select_one(".first table") and page.select_one(".first figure") is None


# ---------------------------------------------------------------- foot


def test_the_foot_says_what_made_the_page(with_results):
    files = synthetic_results.all_metrics()
    files["cnn"] |= {"seed": 7, "cpu_capability": "AVX2", "versions": {"rustc": "1.96.0"}}
    page = with_results(files)
    for page in with_results.pages.values():
        assert pairs(page.select_one("footer")) == {
            "Made by": ["cargo xtask submission"],
            "Versions": [
                *["Rust 1.95.0", "Rust 1.96.0", "libtorch 2.13.0", "tch 0.26.0", "helpers 0.1.0", "papermill 2.7.0"]
            ],
            "Processor": [
                "AMD EPYC, AVX512_BF16, 2 threads, precision auto: bfloat16",
                "AMD EPYC, AVX2, 2 threads, precision auto: float32",
            ],
            "Seed": ["42", "7"],
            "SHA-256 of X.npy": ["ab" * 32],
            "SHA-256 of y.npy": ["cd" * 32],
        }
    assert pairs(page.select_one(".facts"))["Data"] == ["70,000 images of 28 × 28 pixels, 10 classes"]


def test_without_metrics_the_foot_says_what_the_notebooks_know(exported):
    page = exported(n01_data_loading=synthetic.data_loading(quick=True, seed=7))["submission"]
    assert pairs(page.select_one("footer")) == {
        "Made by": ["cargo xtask run -p seed 7 --quick", "cargo xtask export --quick"],
        "Versions": ["Rust 1.91.0", "papermill 2.7.0"],
        "Seed": ["7"],
    }


def test_the_foot_names_the_commands_that_make_the_same_again():
    def commands(*given):
        names = ["01_data_loading", "06_cnn_training", "09_comparative_table"]
        has = [{"data": "../data", "quick": "false"}, {"data": "../data", "epochs": "50", "quick": "false"}, {"quick": "false"}]
        return record.commands_of(
            [executed.Notebook(name, parameters=all_ | one, given=one) for name, all_, one in zip(names, has, given)]
        )

    assert commands({}, {}, {}) == ["cargo xtask submission"]
    quick = {"quick": "true", "export": "../export/quick"}
    with_data = quick | {"data": "../data/sample"}
    assert commands(with_data, with_data | {"epochs": "3"}, quick) == ["cargo xtask submission --quick"]
    # Notebook 9 has no data.
    own = {"data": "../my data"}
    assert commands(own, own, {}) == ["cargo xtask run -p data 'my data'", "cargo xtask export"]
    assert commands(own, own | {"epochs": "5"}, {})[0] == "cargo xtask run -p data 'my data' -p epochs 5"
    some = commands({}, own, {})
    assert some == ["cargo xtask run", "cargo xtask run 06 -p data 'my data'", "cargo xtask export"]
    quick_elsewhere = commands(quick | own, quick | own, quick)
    assert quick_elsewhere == ["cargo xtask run -p data 'my data' --quick", "cargo xtask export --quick"]


def test_what_quick_sets_is_what_xtask_gives():
    source = (export.Path(export.__file__).parents[1] / "xtask/src/notebooks/plan.rs").read_text()
    table = source.split("const QUICK")[1].split("];")[0]
    assert dict(re.findall(r'\("(.*)", "(.*)"\)', table)) == record.QUICK


def test_text_from_metrics_stays_text(with_results):
    hostile = {
        "processor": synthetic.HOSTILE,
        "cpu_capability": ["<script>"],
        "threads": "</dd><script>",
        "versions": {"rustc": "<img src=x>", "tch": {"<script>": 1}},
        "dataset": synthetic_results.DATA | {"x_sha256": "</footer><iframe>", "classes": "<b>"},
        "seed": "</script>",
    }
    page = with_results({"cnn": synthetic_results.metrics(0.9, 0.8, 0.95, **hostile)})
    assert synthetic.HOSTILE in page.select_one("footer").text
    assert len(page.find_all("script")) == 1 and page.find_all("iframe") == []
    assert page.select("footer img, .facts b") == []


def test_a_notebook_is_changed_by_nothing_that_stands_above_it(with_results, tmp_path):
    """The picture of the first screen is a copy: ids and places of the notebook stay as they were."""
    figure = synthetic.figure().replace("<figure", '<figure id="loss"')
    book = synthetic.notebook(
        [new_markdown_cell("# 4. A title\n\n[see](#loss)"), new_code_cell("f", outputs=[synthetic.shown(figure)])]
    )
    synthetic_results.write_picture(tmp_path / "in")
    page = with_results(synthetic_results.all_metrics(), n04_baseline_model=book)
    assert [tag.find_parent("article") is not None for tag in page.find_all("figure")] == [False, True]
    assert [tag.get("id") for tag in page.find_all("figure")] == [None, "nb04-loss"]
