"""The pages that the exporter makes of executed notebooks."""

import re
import subprocess
import sys
from pathlib import Path

import bs4
import executed
import export
import nbformat
import outputs
import own_html
import pytest
import synthetic
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output


def with_output(*outputs, source="value", **kw):
    title = new_markdown_cell("# 4. A title")
    return synthetic.notebook([title, new_code_cell(source, outputs=list(outputs))], **kw)


# ---------------------------------------------------------------- the whole


def test_writes_a_page_each_and_one_with_all(exported):
    pages = exported(n01_data_loading=synthetic.data_loading(), n06_cnn_training=synthetic.cnn_training())
    assert list(pages) == ["01_data_loading", "06_cnn_training", "submission"]
    articles = [article["data-notebook"] for article in pages["submission"].find_all("article")]
    assert articles == ["01_data_loading", "06_cnn_training"]


def test_contents_has_titles_and_sections(exported):
    pages = exported(n01_data_loading=synthetic.data_loading(), n06_cnn_training=synthetic.cnn_training())
    entries = pages["submission"].select(".contents details > ol > li")
    assert [entry.find("a").text for entry in entries] == [
        "1. Loading the data",
        "6. A convolutional network",
    ]
    assert [link.text for link in entries[0].find("ol").find_all("a")] == ["The two files", "Conclusion"]


def test_ids_are_unique_though_headings_repeat(exported):
    pages = exported(n01_data_loading=synthetic.data_loading(), n06_cnn_training=synthetic.cnn_training())
    for page in pages.values():
        ids = [element["id"] for element in page.find_all(id=True)]
        assert len(ids) == len(set(ids))
        for link in page.select('a[href^="#"]'):
            assert link["href"][1:] in ids
    assert pages["submission"].find(id="nb06-the-network-2")


def test_headings_form_one_unbroken_order(exported):
    book = synthetic.notebook([new_markdown_cell("# 4. A title\n\n### Skips a level\n\n# A second title")])
    pages = exported(n04_baseline_model=book)
    order = lambda page: [(tag.name, tag.text) for tag in page.find_all(re.compile("^h[1-6]$"))]  # noqa: E731
    assert order(pages["04_baseline_model"]) == [
        ("h1", "4. A title"),
        ("h2", "Skips a level"),
        ("h2", "A second title"),
    ]
    assert [name for name, _ in order(pages["submission"])] == ["h1", "h2", "h3", "h3"]


def test_a_notebook_without_a_title_goes_by_its_name(exported):
    pages = exported(n04_baseline_model=synthetic.notebook([new_code_cell("1")]))
    assert pages["04_baseline_model"].find("h1").text == "04_baseline_model"


def test_styles_and_policy_are_there_once(exported):
    for page in exported(
        n01_data_loading=synthetic.data_loading(), n06_cnn_training=synthetic.cnn_training()
    ).values():
        assert len(page.find_all("style")) == 1
        assert len(page.find_all("script")) == 1
        assert "default-src 'none'" in page.find("meta", attrs={"http-equiv": True})["content"]


def test_nothing_in_a_page_is_to_be_loaded(exported):
    exported(n01_data_loading=synthetic.data_loading(), n07_performance_evaluation=synthetic.hostile())
    for text in exported.text.values():
        assert not re.search(r"""(src|srcset|data|poster)\s*=\s*["']?(?!data:)(https?:|//)""", text)
        assert not re.search(r"url\(\s*['\"]?(?!data:)|@import|<link (?![^>]*data:,)", text)
        assert "cdn" not in text.lower()


def test_pages_are_small(exported):
    exported(n04_baseline_model=with_output())
    assert len(exported.text["04_baseline_model"]) < 30_000


def test_links_between_notebooks_lead_to_pages_and_inside_one_to_articles(exported):
    pages = exported(n01_data_loading=synthetic.data_loading(), n06_cnn_training=synthetic.cnn_training())
    target = lambda page: page.find("a", string="the network")["href"]  # noqa: E731
    assert target(pages["01_data_loading"]) == "06_cnn_training.html"
    assert target(pages["submission"]) == "#nb06"


def test_a_link_to_a_notebook_that_is_not_there_becomes_text(exported):
    pages = exported(n01_data_loading=synthetic.data_loading())
    assert pages["submission"].find("a", string="splitting") is None
    assert "Next: splitting." in pages["submission"].get_text()


def test_a_link_to_a_heading_follows_it(exported):
    pages = exported(n06_cnn_training=synthetic.cnn_training())
    assert pages["06_cnn_training"].find("a", string="the end")["href"] == "#nb06-conclusion"


def test_code_may_break_before_a_chained_call_and_is_the_same_text(exported):
    code = 'let net = start()?\n    .dense(8).relu()?.build("a).b", ..base)?;'
    (block,) = exported(n04_baseline_model=with_output(source=code))["submission"].select(".code pre")
    assert block.get_text().strip() == code
    after = ["".join(mark.find_all_next(string=True)[:2]) for mark in block.find_all("wbr")]
    assert after == [".relu", ".build"]


# ---------------------------------------------------------------- runs


def test_parameters_come_from_the_source_where_papermill_had_none():
    book = synthetic.notebook(
        [
            synthetic.parameters(
                'let data = "../data"; // let x = 1;\nlet seed: u64 = 42; let rate: f64 = 1e-3;'
            )
        ]
    )
    del book.metadata["papermill"]
    assert executed.parameters_of(book)[0] == {"data": "../data", "seed": "42", "rate": "1e-3"}


def test_a_failed_notebook_is_named_at_the_top_and_shows_its_error(exported):
    pages = exported(n08_transfer_learning=synthetic.failed())
    page = pages["submission"]
    assert page.select_one(".banner.failed").text == "Stopped with an error: 08_transfer_learning."
    assert [mark.get_text(strip=True)[:12] for mark in page.select(".failure")] == [
        "An Exception",
        "Execution us",
    ]
    assert page.select_one(".failure a")["href"] == "#nb08-papermill-error-cell"
    assert page.select_one(".output.error pre").text.startswith("cannot read")
    assert pages["08_transfer_learning"].find("h1").text == "8. Transfer learning"


def test_no_metadata_at_all_is_no_obstacle(exported):
    book = nbformat.v4.new_notebook(cells=[new_markdown_cell("# 4. A title"), new_code_cell("let x = 1;")])
    page = exported(n04_baseline_model=book)["04_baseline_model"]
    assert page.select_one(".hl-rust .kd").text == "let"


# ---------------------------------------------------------------- code and outputs


@pytest.mark.parametrize("language", [True, False])
def test_code_is_coloured_as_rust(exported, language):
    page = exported(n06_cnn_training=synthetic.cnn_training(language=language))["06_cnn_training"]
    assert page.select_one(".hl-rust")
    assert {"let", "mut"} <= {token.text for token in page.select(".code .kd, .code .k")}


def test_fifty_epochs_are_one_block(exported):
    page = exported(n06_cnn_training=synthetic.cnn_training())["06_cnn_training"]
    assert [len(block.select("pre")) for block in page.select(".stream") if "epoch" in block.text] == [2]
    shown = page.select_one(".stream > details + pre")
    assert shown["tabindex"] == "0"


def test_sentences_stand_as_text_and_other_lines_as_they_were_printed(exported):
    lines = [
        "Fitting 3 folds for each of 20 candidates",
        "Test part, <b>: accuracy 91.70% (95% interval 91.09 to 92.27%) on 8,400 images.",
        "Hardest classes: Shirt (F1 77.3%).",
        "epoch  1/3  loss 0.5.",
        "0.5.",
    ]
    text = "".join(f"{line}\n" for line in lines)
    page = exported(n04_baseline_model=with_output(new_output("stream", name="stdout", text=text)))["04_baseline_model"]
    block = page.select_one(".output.stream")
    assert [element.name for element in block.find_all(recursive=False)] == ["pre", "div", "pre"]
    assert [said.text for said in block.select(".said p")] == lines[1:3]
    assert [pre.text for pre in block.select("pre")] == [f"{lines[0]}\n", f"{lines[3]}\n{lines[4]}\n"]


def test_how_far_a_cell_had_come_is_left_out(exported):
    lines = "features: read\n… epoch 1: 20% of the images\n… epoch 1: 70%\nepoch  1/3  … loss 0.5\n"
    only = "… features: 10%\n"
    outputs = (new_output("stream", name="stdout", text=text) for text in (lines, only))
    page = exported(n04_baseline_model=with_output(*outputs))["04_baseline_model"]
    assert [pre.text for pre in page.select(".stream pre")] == ["features: read\nepoch  1/3  … loss 0.5\n"]


def test_a_training_is_a_sentence_and_charts_over_folded_lines(exported):
    page = exported(n04_baseline_model=with_output(*synthetic.live()[:2]))["04_baseline_model"]
    assert [chart["role"] for chart in page.select(".rich svg")] == ["img", "img"]
    assert page.select_one(".rich svg")["aria-label"].startswith("Loss, Loss (nats), over 18 epochs.")
    folded = page.select_one(".rich details")
    assert folded.summary.text == "18 epochs" and not folded.has_attr("open")
    assert len(folded.pre.text.splitlines()) == 18 and "<loss>" in folded.pre.text
    assert exported.warnings == []


def test_the_finished_figure_takes_the_place_of_the_charts_that_grew(exported):
    page = exported(n04_baseline_model=with_output(*synthetic.live()[:2], synthetic.shown(synthetic.figure())))
    article = page["04_baseline_model"].find("article")
    assert article.svg is None and len(article.select("figure img")) == 1
    assert len(article.select_one(".rich details pre").text.splitlines()) == 18


def test_standard_error_is_labelled(exported):
    page = exported(n04_baseline_model=with_output(new_output("stream", name="stderr", text="watch out")))[
        "04_baseline_model"
    ]
    assert page.select_one(".output.stderr")["aria-label"] == "Standard error"


def test_html_is_shown_rather_than_plain_text(exported):
    page = exported(n04_baseline_model=with_output(synthetic.shown("<p>rich</p>", "plain")))[
        "04_baseline_model"
    ]
    assert page.select_one(".rich").text == "rich"
    assert "plain" not in page.find("article").text


def test_the_value_of_a_loop_is_not_shown(exported):
    unit, pair = (new_output("execute_result", {"text/plain": text}) for text in ("()", "(1, 2)"))
    page = exported(n04_baseline_model=with_output(unit, pair))["04_baseline_model"]
    assert [output.text for output in page.select(".output")] == ["(1, 2)"]
    assert len(exported.warnings) == 1
    assert "cell cell-1: `(1, 2)` is shown as plain text" in exported.warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "Table(4 rows x 4 columns)",
        "Figure(900 x 350: Loss per epoch)",
        "Ok(Figure(900 x 350: Loss per epoch))",
        "Dataset: 70000 images (28, 28) uint8, 10 classes",
        "Summary: 9 layers",
        "SearchResults: 20 trials",
        "History { epochs: 3 }",
        "RateSweep { rates: [0.1] }",
        "GridSearchCv { param_grid: [] }",
        "[Evaluation: 24 images]",
        "(Figure(900 x 350: Loss per epoch), 1)",
    ],
)
def test_the_name_of_a_type_instead_of_the_thing_stops_the_export(exported, text, tmp_path):
    """evcxr prints `{:?}` if a cell's last expression moves its variable."""
    output = new_output("execute_result", {"text/plain": text})
    with pytest.raises(export.ExportError) as error:
        exported(n01_data_loading=synthetic.data_loading(), n05_prediction_visualization=with_output(output))
    message = str(error.value)
    assert f"05_prediction_visualization, cell cell-1: shows `{text[:60]}`" in message
    assert "end the cell with the variable's name alone" in message
    assert not (tmp_path / "out").exists()


def test_the_name_of_a_type_beside_the_thing_or_in_a_text_is_fine(exported):
    rich = new_output("execute_result", {"text/html": "<table><tr><td>1</td></tr></table>", "text/plain": "Table(1 rows"})
    text = new_output("stream", name="stdout", text="Table(4 rows x 4 columns)")
    value = new_output("execute_result", {"text/plain": "Tables of Figures: 3"})
    page = exported(n04_baseline_model=with_output(rich, text, value))["04_baseline_model"]
    assert len(page.select(".output")) == 3


def test_every_type_of_helpers_is_known():
    assert {"Table", "Figure", "Dataset", "Model", "RateSweep"} <= set(outputs.TYPES)
    made_by_macros = {"GridSearchCv", "RandomizedSearchCv", "HalvingGridSearchCv", "HalvingRandomSearchCv", "Layer"}
    assert made_by_macros <= set(outputs.TYPES)


def test_a_picture_keeps_its_alternative_text_and_caption(exported):
    page = exported(n04_baseline_model=with_output(synthetic.shown(synthetic.figure())))["04_baseline_model"]
    assert page.find("img")["alt"] == "Loss per epoch, falling"
    assert page.find("figcaption").text.startswith("Figure 1.")
    assert exported.warnings == []


def test_a_bare_png_gets_an_alternative_text_and_is_reported(exported):
    page = exported(
        n04_baseline_model=with_output(new_output("display_data", {"image/png": synthetic.png()}))
    )["04_baseline_model"]
    assert "cell-1" in page.find("img")["alt"]
    assert exported.warnings == [
        "04_baseline_model: cell cell-1: a image/png output has no alternative text; show it as a Figure"
    ]


def test_a_bare_png_with_a_description_keeps_it(exported):
    output = new_output(
        "display_data", {"image/png": synthetic.png()}, metadata={"image/png": {"alt": 'A "line"'}}
    )
    page = exported(n04_baseline_model=with_output(output))["04_baseline_model"]
    assert page.find("img")["alt"] == 'A "line"'
    assert exported.warnings == []


def test_every_picture_is_in_its_own_page_and_in_the_one_with_all(exported):
    # The browser tests count pictures, too; this test also works without a browser.
    described = {"image/png": {"alt": "third"}}
    book = with_output(
        synthetic.shown(synthetic.figure("first") + synthetic.figure("second")),
        new_output("display_data", {"image/png": synthetic.png()}, metadata=described),
    )
    pages = exported(n01_data_loading=synthetic.data_loading(), n04_baseline_model=book)
    for page in ("04_baseline_model", "submission"):
        article = pages[page].find("article", attrs={"data-notebook": "04_baseline_model"})
        assert [picture["alt"] for picture in article.find_all("img")] == ["first", "second", "third"]
        assert article["data-pictures"] == "3"


def test_a_picture_beside_the_notebook_is_taken_in(exported, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "line.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    page = exported(
        n04_baseline_model=synthetic.notebook([new_markdown_cell("# 4. A\n\n![A line](line.svg)")])
    )["04_baseline_model"]
    assert page.find("img")["src"].startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize(
    "source", ["gone.png", "https://example.org/a.png", "//example.org/a.png", "../../a.png", ""]
)
def test_a_picture_that_cannot_be_inside_stops_the_export(exported, source, tmp_path):
    with pytest.raises(export.ExportError, match="04_baseline_model: picture"):
        exported(n04_baseline_model=with_output(synthetic.shown(f'<img alt="x" src="{source}">')))
    assert not (tmp_path / "out").exists()


def test_number_columns_stand_on_the_right(exported):
    html = "<table><tr><th>model</th><th>time</th><th>shape</th></tr><tr><td>CNN</td><td>41 s</td><td>(28, 28)</td></tr><tr><td>2</td><td>−1.5</td><td>4</td></tr></table>"
    page = exported(n04_baseline_model=with_output(synthetic.shown(html)))["04_baseline_model"]
    assert {cell.text for cell in page.select(".number")} == {"time", "41 s", "−1.5"}


def test_a_table_of_helpers_is_known_by_its_classes(exported):
    html = (
        '<table class="helpers-table" style="margin:1em"><thead><tr><th style="text-align:left">Model</th>'
        '<th class="number" style="text-align:right">Time</th></tr></thead><tbody>'
        '<tr class="best" style="font-weight:bold"><td style="text-align:left">2 ★</td><td class="number" style="text-align:right">∞</td></tr>'
        '<tr class="total"><td style="border-top:1px solid">7</td><td class="number" style="border-top:1px solid">3</td></tr>'
        "</tbody></table>"
    )
    page = exported(n04_baseline_model=with_output(synthetic.shown(html)))["04_baseline_model"]
    assert [cell.text for cell in page.select(".number")] == ["Time", "∞", "3"]
    assert page.select_one("tr.best").td.text == "2 ★"
    assert page.select_one("tr.total").td.text == "7"
    assert not page.select("article [style]")


def test_an_empty_corner_is_no_heading(exported):
    html = '<table><thead><tr><th scope="col"> </th><th>a</th></tr></thead><tr><th><img src="data:image/png;base64," alt="b"></th><td>1</td></tr></table>'
    table = exported(n04_baseline_model=with_output(synthetic.shown(html)))["04_baseline_model"].find("table")
    assert [cell.name for cell in table.find_all(["th", "td"])] == ["td", "th", "th", "td"]
    assert not table.td.has_attr("scope")


def test_a_table_without_rows_is_its_caption(exported):
    head = "<thead><tr><th>Model</th></tr></thead><tbody>{}</tbody></table>"
    tables = [f"<table><caption>Table {n}.</caption>{head.format(rows)}" for n, rows in ((1, ""), (2, "<tr><td>1</td></tr>"))]
    page = exported(n04_baseline_model=with_output(*map(synthetic.shown, tables)))["04_baseline_model"]
    assert [caption.text for caption in page.select(".caption")] == ["Table 1.", "Table 2."]
    assert [frame.table["aria-labelledby"] for frame in page.select(".table")] == [page.select(".caption")[1]["id"]]


def test_a_wide_figure_scrolls_on_a_desk_too(exported):
    figures = [f'<figure><img alt="A" width="{width}" src="data:image/png;base64,"></figure>' for width in (1080, 1081, "9e9")]
    page = exported(n04_baseline_model=with_output(synthetic.shown("".join(figures))))["04_baseline_model"]
    assert [frame["class"] for frame in page.select(".scroll")] == [["scroll"], ["scroll", "large"], ["scroll"]]


def test_a_figure_in_parts_has_them_beside_the_picture(exported):
    attributes = 'alt="Dots" width="40" src="data:image/png;base64,AQID"'
    parts = "40x30:0.0,0.0,20.0,15.0 20.0,0.0,20.0,15.0;0.0,15.0,40.0,15.0"
    figures = [
        f'<figure><img {attributes} data-title="&lt;b&gt;" data-parts="{parts}"><figcaption>Figure 4.1.</figcaption></figure>',
        f'<figure><img {attributes} data-parts="40x30:1,2"></figure>',
        f'<figure><img {attributes.replace("AQID", "AQID);position:fixed")} data-parts="{parts}"></figure>',
    ]
    page = exported(n04_baseline_model=with_output(synthetic.shown("".join(figures))))["04_baseline_model"]
    (block,) = page.select(".parts")
    assert (block["role"], block["aria-label"], block.p.text) == ("img", "Dots", "<b>")
    assert block["style"] == "--picture:url(data:image/png;base64,AQID)"
    assert [len(row.find_all("i")) for row in block.find_all("div")] == [2, 1]
    assert block.find_all("i")[1]["style"] == (
        "width:20px;aspect-ratio:20/15;background-size:200.00% 200.00%;background-position:100.00% 0.00%"
    )
    assert [element.name for element in block.parent.find_all(recursive=False)] == ["div", "div", "figcaption"]
    assert not page.select("[data-parts], [data-title]")


def test_a_narrow_page_shows_the_drawing_that_a_figure_has_for_it(exported):
    drawings = ["data:image/png;base64,BAUG", "https://example.org/a.png"]
    figure = '<figure><img alt="Bars" width="700" src="data:image/png;base64,AQID" data-narrow="{}" data-parts="340x30:0,0,340,30"></figure>'
    shown = synthetic.shown("".join(map(figure.format, drawings)))
    page = exported(n04_baseline_model=with_output(shown))["04_baseline_model"]
    (block,) = page.select(".parts")  # nothing is loaded from elsewhere
    assert block["style"] == "--picture:url(data:image/png;base64,BAUG)"
    assert block.i["style"].startswith("width:340px;aspect-ratio:340/30;background-size:100.00% 100.00%")
    assert not page.select("[data-narrow]")


def test_names_of_rows_stay_beside_what_they_name(exported):
    parts = "40x30:0.0,0.0,10.0,15.0+10.0,0.0,20.0,15.0;0.0,15.0,40.0,15.0"
    figure = f'<figure><img alt="Dots" width="40" src="data:image/png;base64,AQID" data-parts="{parts}"></figure>'
    page = exported(n04_baseline_model=with_output(synthetic.shown(figure)))["04_baseline_model"]
    rows = page.select(".parts > div")
    assert [(row.get("class"), len(row.find_all("i"))) for row in rows] == [(["joined"], 2), (None, 1)]


def test_short_cells_are_not_broken_and_names_of_layers_only_at_their_underscores(exported):
    long = "accuracy alone does not tell them apart"
    rows = f"<tr><td>batch_normalization_1</td><td>not told apart</td><td>{long}</td><td>12</td></tr>"
    rows += "<tr><td><code>batch_size</code></td><td>a_b</td><td>1</td><td>3</td></tr>"
    page = exported(n04_baseline_model=with_output(synthetic.shown(f"<table>{rows}</table>")))["04_baseline_model"]
    cells = page.select(".table td")
    assert ["short" in cell.get("class", []) for cell in cells[:4]] == [True, True, False, False]
    assert cells[0].text == "batch_normalization_1" and len(cells[0].select("wbr")) == 2
    assert cells[4].code.text == "batch_size" and not cells[5].select("wbr")


def test_a_caption_stands_above_its_table_and_names_it(exported):
    table = synthetic.shown("<table><caption>Table 4.1. Two.</caption><tr><td>1</td></tr></table>")
    page = exported(n04_baseline_model=with_output(table, table))["submission"]
    captions = page.select(".rich > p.caption")
    assert [caption.text for caption in captions] == ["Table 4.1. Two."] * 2
    assert [table["aria-labelledby"] for table in page.find_all("table")] == [
        caption["id"] for caption in captions
    ]


def test_formulas_become_mathml(exported):
    page = exported(n01_data_loading=synthetic.data_loading())["01_data_loading"]
    assert [math["display"] for math in page.find_all("math")] == ["inline", "block"]
    assert "$" not in page.select_one("article").text


def test_a_formula_that_cannot_be_read_is_shown_as_written(exported):
    book = synthetic.notebook([new_markdown_cell("# 4. A title\n\n$\\frac{a}{<b>$")])
    page = exported(n04_baseline_model=book)["04_baseline_model"]
    assert "\\frac{a}{<b>" in page.find("article").text or page.find("math")


# ---------------------------------------------------------------- hostile text


def test_hostile_text_stays_text(exported):
    page = exported(n07_performance_evaluation=synthetic.hostile())["07_performance_evaluation"]
    for kind in ("stream", "stderr", "value", "error"):
        assert synthetic.HOSTILE in page.select_one(f".output.{kind} pre").text


def test_hostile_markup_loses_what_runs_or_loads(exported):
    pages = exported(n07_performance_evaluation=synthetic.hostile())
    for page in pages.values():
        main = page.find("main")
        assert main.find_all(own_html.UNWANTED) == []
        assert not [name for tag in main.find_all(True) for name in tag.attrs if name.startswith("on")]
        assert not [link for link in main.find_all("a", href=True) if "javascript" in link["href"]]
    assert any("<iframe>" in note for note in exported.warnings)


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "JaVa\tScRiPt:alert(1)", " data:text/html,x", "vbscript:x", "file:///etc/passwd"],
)
def test_links_lead_to_pages_only(exported, address):
    page = exported(n04_baseline_model=with_output(synthetic.shown(f'<a href="{address}">go</a>')))[
        "04_baseline_model"
    ]
    assert page.find("a", string="go").get("href") is None


def test_unclosed_markup_ends_with_its_output(exported):
    first, second = synthetic.shown("<div><b>open"), synthetic.shown("</div></div></article></main>closed")
    page = exported(n04_baseline_model=with_output(first, second))["04_baseline_model"]
    outputs = page.select("article .step > .rich")
    assert [output.get_text() for output in outputs] == ["open", "closed"]


def test_a_heading_in_an_output_is_not_in_the_order_of_headings(exported):
    page = exported(n04_baseline_model=with_output(synthetic.shown("<h1>loud</h1>")))["04_baseline_model"]
    assert [heading.text for heading in page.find_all("h1")] == ["4. A title"]


def test_hostile_titles_stay_text(exported):
    book = synthetic.notebook([new_markdown_cell("# 4. `</title><script>window.hostile = 1</script>`")])
    page = exported(n04_baseline_model=book)["submission"]
    assert len(page.find_all("script")) == 1
    assert "<script>" in page.select_one(".contents").text


# ---------------------------------------------------------------- failures


def test_no_notebooks_fails(tmp_path):
    with pytest.raises(export.ExportError, match=r"no executed notebooks in .*cargo xtask run"):
        export.export(tmp_path, tmp_path)


def test_no_folder_fails(tmp_path):
    with pytest.raises(export.ExportError, match="not a folder"):
        export.export(tmp_path / "gone", tmp_path)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff", b'{"cells": 1, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}']
)
def test_a_broken_file_is_named(tmp_path, content):
    (tmp_path / "04_baseline_model.ipynb").write_bytes(content)
    with pytest.raises(export.ExportError, match=r"04_baseline_model\.ipynb"):
        export.export(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_notebooks_of_one_number_fail(tmp_path):
    books = {"04_a": synthetic.data_loading(), "04_b": synthetic.data_loading()}
    with pytest.raises(export.ExportError, match="same number"):
        export.export(synthetic.write_all(tmp_path, books), tmp_path)


def run(*arguments) -> subprocess.CompletedProcess:
    script = Path(export.__file__)
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)


def test_the_command_reports_what_it_wrote(made_up, tmp_path):
    result = run("--executed", made_up, "--out", tmp_path)
    assert result.returncode == 0
    assert "5 notebooks" in result.stdout
    assert "warning: 07_performance_evaluation" in result.stderr


def test_strict_fails_on_a_warning(made_up, tmp_path):
    assert run("--executed", made_up, "--out", tmp_path, "--strict").returncode == 1


def test_the_command_fails_clearly(tmp_path):
    result = run("--executed", tmp_path, "--out", tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("error: no executed notebooks")
    assert "Traceback" not in result.stderr
