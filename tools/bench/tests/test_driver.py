"""The driver's statistics and messages, with made-up results and with sides that are one line of Python."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import driver
import measure
from measure import PREDICTION, TRAINING, Figure
from parts import cells, ceilings, grid_search, growth, layers, opening, threads, throughput, time_to_accuracy

SECONDS = Figure("seconds", "all of it", "s", higher_is_better=False)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "SCRATCH", tmp_path / "scratch")
    monkeypatch.setattr(measure, "MADE", tmp_path / "made")
    monkeypatch.setattr(measure, "has_bf16", lambda: True)


def arguments(**changes) -> argparse.Namespace:
    usual = {"data": Path("data"), "program": Path("bench"), "out": Path("bench.json"), "quick": False, "stock": False}
    return argparse.Namespace(**usual | {"rounds": 1, "seed": 42, "without": None} | changes)


def side(name: str, code: str = "pass", ours: bool = False, **settings) -> measure.Side:
    return measure.Side(name, [sys.executable, "-c", code], settings=settings, ours=ours)


SCRIPTS = ["keras_throughput.py", "keras_search.py", "torch_throughput.py", "torch_search.py", "numpy_opening.py"]
ECHO = "import json, sys; print('a line'); print(json.dumps(json.load(sys.stdin)))"


def test_a_side_gets_the_specification_with_its_own_settings():
    seconds, result = measure.run(side("echo", ECHO, jobs=2), {"jobs": 1, "images": 600})
    assert result == {"jobs": 2, "images": 600}
    assert seconds > 0


def test_a_side_that_fails_is_named_with_its_last_words():
    with pytest.raises(measure.BenchError, match=r"broken failed \(status 3\)[\s\S]*no memory"):
        measure.run(side("broken", "import sys; print('no memory', file=sys.stderr); sys.exit(3)"), {})


def test_a_side_without_a_result_fails():
    with pytest.raises(measure.BenchError, match="silent failed"):
        measure.run(side("silent"), {})


def test_pytorch_alone_binds_late():
    late = {script: measure.LATE in measure.environment(measure.peer("side", script, 2)) for script in SCRIPTS}
    assert late == {script: script.startswith("torch") for script in SCRIPTS}, "TensorFlow crashes when bound late"
    assert measure.environment(measure.peer("side", SCRIPTS[0], 2))["OMP_NUM_THREADS"] == "2"


def test_each_round_starts_with_another_side_and_has_its_own_seed(capsys):
    sides = [side(name, ECHO) for name in "abc"]
    found = measure.rounds(sides, 2, {}, 42, lambda result: "")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[1][0] for line in lines] == ["a", "b", "c", "b", "c", "a"]
    assert [[result["seed"] for _, result in runs] for runs in found] == [[42, 43]] * 3


def test_a_spread_has_the_middle_value_and_both_ends():
    assert measure.spread([3.0, 1.0, 8.0]) == {"values": [3.0, 1.0, 8.0], "median": 3.0, "min": 1.0, "max": 8.0}
    assert measure.spread([1.0, 8.0])["median"] == 4.5


def test_a_ratio_says_how_many_times_as_fast_we_are():
    # Seconds: the medians are 10 and 32; round by round 3, 4 and 2.
    assert measure.compare([10, 8, 20], [30, 32, 40], False) == pytest.approx({"median": 3.2, "min": 2, "max": 4})
    # Images a second.
    assert measure.compare([40.0], [10.0], True)["median"] == 4


def test_scores_differ_when_they_are_apart_beyond_noise_and_tolerance():
    check = lambda ours, theirs: measure.check("accuracy", ours, theirs, 0.02)  # noqa: E731
    assert check([0.80, 0.90], [0.80, 0.90])["similar"]
    assert check([0.805, 0.905], [0.80, 0.90])["similar"], "within the tolerance"
    assert not check([0.85, 0.951], [0.80, 0.90])["similar"]
    assert not check([0.85], [0.80])["similar"], "a single pair has no noise to hide in"
    noisy = check([0.60, 0.95], [0.70, 0.80])
    assert noisy["below_helpers"] == pytest.approx(0.025) and noisy["similar"], "one fold each way"


def section_of(ours: list[dict], *others: list[dict], figures=(SECONDS,)) -> dict:
    sides = [side("helpers", ours=True, format="default"), *(side(f"peer {k}", format="float32") for k in range(len(others)))]
    return measure.compared(sides, [ours, *others], list(figures), {"images": 6, "data": "/x"}, arguments())


def test_the_better_peer_counts_and_one_without_results_is_left_out():
    section = section_of([{"seconds": 2.0}, {"seconds": 4.0}], [{"seconds": 9.0}] * 2, [{"seconds": 6.0}] * 2, [])
    assert section["best_peer"] == {"seconds": "peer 1"}
    assert section["ratio"]["seconds"] == {"median": 2.0, "min": 1.5, "max": 3.0}
    assert "peer 2" not in section["sides"]
    assert section["settings"]["data"] == "data", "the folder's name, not where it lies on this machine"
    text = measure.table(section, "work")
    assert "all of it: helpers is 2.00 times as fast as the best peer, peer 1 (1.50 to 3.00 in single rounds)" in text


def test_a_figure_that_a_side_does_not_reach_is_neither_a_ratio_nor_a_bar():
    section = section_of([{"seconds": 2.0}], [{"seconds": None}], [{"seconds": 4.0}])
    assert section["best_peer"] == {"seconds": "peer 1"}
    assert "none" in next(line for line in measure.table(section, "work").splitlines() if line.startswith("peer 0"))
    assert measure.bars(section, "Work")[0]["names"] == ["helpers", "peer 1"]
    assert section_of([{"seconds": None}], [{"seconds": 4.0}])["ratio"] == {}


def test_a_share_is_of_the_ceiling_of_the_number_format():
    ours, theirs = {TRAINING.key: 1000.0}, {TRAINING.key: 500.0}
    section = section_of([ours], [theirs], figures=[TRAINING]) | {"default_format": "bfloat16"}
    # 0.1 GFLOP an image: 100 GFLOP/s of 400 in bf16, 50 of 200 in 32 bits.
    measure.share(section, TRAINING.key, 1e8, {"float32_gflops": 200.0, "bfloat16_gflops": 400.0})
    shares = [entry[TRAINING.key]["share_of_ceiling"] for entry in section["sides"].values()]
    assert shares == [0.25, 0.25]
    assert section["sides"]["helpers"][TRAINING.key]["gflop_per_second"] == 100.0
    assert "25.0%" in measure.table(section, "work")


def test_without_a_ceiling_there_is_no_share():
    section = section_of([{TRAINING.key: 1.0}], figures=[TRAINING]) | {"default_format": "bfloat16"}
    measure.share(section, TRAINING.key, 1e8, {"float32_gflops": 200.0, "bfloat16_gflops": None})
    assert "share_of_ceiling" not in section["sides"]["helpers"][TRAINING.key]


def search_result(**changes) -> dict:
    base = {"best_params": {"dropout": 0.0}, "best_score": 0.9, "scores": [[0.9] * 3] * 12, "computed": 36}
    return base | {"fold_sums": [1, 2, 3], "versions": {"tch": "0"}, "cpu_capability": "AVX2"} | changes


def search(monkeypatch, results: list[dict]) -> dict:
    def rounds(sides, count, spec, seed, show):
        return [[(10.0 * (k + 1), r)] for k, r in enumerate(results)]

    monkeypatch.setattr(measure, "rounds", rounds)
    return grid_search.run(arguments(), None)


def test_the_searches_of_all_peers_are_compared(monkeypatch):
    section = search(monkeypatch, [search_result()] * 8)
    assert section["best_peer"]["seconds"] == "Keras, 1 job"
    assert section["ratio"]["seconds"]["median"] == 3
    assert "PyTorch, 2 jobs" in section["sides"]
    assert measure.unlike(section) == []


def test_another_accuracy_is_reported(monkeypatch):
    section = search(monkeypatch, [search_result()] * 3 + [search_result(scores=[[0.5] * 3] * 12)] + [search_result()] * 4)
    (text,) = measure.unlike(section)
    assert text.startswith("Keras, 2 jobs: helpers' mean accuracy is +0.4000 from its 0.5000")


@pytest.mark.parametrize(("quick", "status"), [(True, 0), (False, 1)])
def test_a_quick_run_only_shows_that_all_sides_run(monkeypatch, capsys, tmp_path, quick, status):
    """A short training's accuracy is not compared; that of a complete one must be similar to its peers'."""

    def run(args, found):
        # Ours is 0.0331 above, more than the tolerance.
        section = section_of([{"seconds": 2.0}], [{"seconds": 4.0}])
        section["sides"]["peer 0"]["check"] = measure.check("accuracy", [0.9331], [0.9], 0.02)
        return section

    monkeypatch.setitem(driver.PARTS, "grid_search", driver.Measurement(run, grid_search))
    monkeypatch.setattr(driver, "draw", lambda *given: [])
    words = ["--data", "data", "--out", str(tmp_path / "bench.json"), "--only", "grid_search"]
    monkeypatch.setattr(sys, "argv", ["driver.py", *words, *(["--quick"] if quick else [])])
    assert driver.main() == status
    assert ("helpers' mean accuracy is +0.0331" in capsys.readouterr().err) == (not quick)


def test_a_search_that_found_finished_trials_is_refused(monkeypatch):
    with pytest.raises(measure.BenchError, match="did not compute all 36 trials"):
        search(monkeypatch, [search_result(computed=0)] + [search_result()] * 7)


def test_other_folds_are_refused(monkeypatch):
    with pytest.raises(measure.BenchError, match="had other folds"):
        search(monkeypatch, [search_result()] * 7 + [search_result(fold_sums=[3, 2, 1])])


# What oneDNN reports of a product, of a convolution's forward and of the gradient of its kernel, and of a copy.
REPORT = [
    "onednn_verbose,v1,primitive,exec,cpu,matmul,brg_matmul:avx512_core_bf16,undef,src:bf16::blocked:ab::f0 "
    "wei:bf16::blocked:ba::f0 dst:bf16::blocked:ab::f0,attr-scratchpad:user,,128x784:784x512,0.5\n",
    "onednn_verbose,v1,primitive,exec,cpu,convolution,brg_conv_fwd:avx512_core_bf16,forward_training,"
    "src_bf16::blocked:acdb::f0 wei_bf16::blocked:Acdb32a::f0 bia_undef::undef::: dst_bf16::blocked:acdb::f0,,"
    "alg:convolution_direct,mb128_ic32oc64_ih14oh14kh3sh1dh0ph1_iw14ow14kw3sw1dw0pw1,2.0\n",
    "onednn_verbose,v1,primitive,exec,cpu,convolution,brg_conv_bwd_w:avx512_core_bf16,backward_weights,"
    "src_bf16::blocked:acdb::f0 wei_bf16::blocked:Acdb::f0 dst_bf16::blocked:acdb::f0,,alg:convolution_direct,"
    "mb32_ic32oc64_ih14oh14kh3sh1dh0ph1_iw14ow14kw3sw1dw0pw1,1.0\n",
    "onednn_verbose,v1,primitive,exec,cpu,reorder,jit:uni,undef,src_bf16::blocked:abcd::f0 dst_bf16::blocked:acdb::f0,,,"
    "64x32x3x3,0.01\n",
]

# All keys that a part reads from a side's result.
RESULT = {
    "lines": ["phase training\n", *48 * REPORT, "phase prediction\n", *12 * REPORT],
    "train_images_per_second": 40.0, "predict_images_per_second": 80.0, "features_per_second": 8.0,
    "accuracy": 0.8, "psnr_db": 18.0, "mean_feature": 0.3, "val_accuracy": [0.5, 0.9], "seconds": 2.0,
    "peak_megabytes": 9.0, "own_megabytes": 4.0, "flop": {"train": 9e7, "predict": 3e7}, "parameters": 100,
    "float32_gflops": 190.0, "bfloat16_gflops": 400.0, "copy_gigabytes_per_second": 30.0, "format": "bfloat16",
    "first_value_seconds": 4.0, "cell_seconds": 0.3, "cells_seconds": [0.3], "start_seconds": 1.0,
    "error_seconds": 0.2, "empty_megabytes": 250.0, "memory_megabytes": 300.0, "disk_megabytes": 50.0, "versions": {}, "cpu_capability": "AVX2",
    "trials": 300,
    "trials_per_second": 100.0,
    "seconds_taken": 3.0,
    "ideal_seconds": 2.0,
    "first_trial_seconds": 0.1,
    "search_megabytes": 12.0,
    "result_bytes": 3000,
    "table_seconds": 0.01,
}  # fmt: skip


@pytest.fixture
def made_up(monkeypatch):
    """Every side returns the same, peers with half of our speed; optional ones do not work."""

    def rounds(sides, count, spec, seed, show):
        def result(side: measure.Side) -> list[tuple[float, dict]]:
            if side.optional:
                return []
            found = RESULT if side.ours else RESULT | {"train_images_per_second": 20.0, "seconds": 4.0}
            show(found)
            return [(1.0, found)]

        return [result(side) for side in sides]

    monkeypatch.setattr(measure, "rounds", rounds)
    folder = measure.MADE / "large"

    def make(*args, **settings) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "X.npy").write_bytes(b"12345678")
        return folder

    monkeypatch.setattr(measure, "make_images", make)
    return make()


PARTS = [name for name in driver.PARTS if name != "grid_search"]


@pytest.mark.parametrize("name", PARTS)
def test_each_part_gives_a_table_and_charts_with_title_and_axes(name, made_up):
    data = measure.ROOT / "data" / "sample"
    part = driver.PARTS[name]
    machine = {"float32_gflops": 190.0, "bfloat16_gflops": 400.0, "copy_gigabytes_per_second": 30.0, "format": "float32"}
    section = part.run(arguments(data=data, quick=True), machine)
    json.dumps(section)
    assert part.module.show(section).strip()
    assert [text for one in driver.comparisons(section) for text in measure.unlike(one)] == []
    charts = part.module.charts(section)
    assert charts or name == "ceilings"
    assert len({chart["name"] for chart in charts}) == len(charts), "one file a chart"
    for chart in charts:
        axes = ["value_name"] if chart["kind"] == "bars" else ["x_name", "y_name"]
        assert all(chart[text] for text in ("title", *axes)), chart
    assert not measure.MADE.exists() or name not in ("opening", "growth"), "what was made is removed"


def test_keras_has_no_lite0_and_is_not_asked_for_it():
    names = {network: {side.name for side in throughput.sides_of(network, arguments())} for network in throughput.SPECS}
    assert all("Keras" in names[network] for network in ("dense", "cnn", "autoencoder"))
    assert not any(name.startswith("Keras") for name in names["transfer"])
    assert "PyTorch, channels last, bf16" in names["transfer"]


def test_sides_in_bf16_stay_out_where_the_processor_has_none(monkeypatch, capsys):
    monkeypatch.setattr(measure, "has_bf16", lambda: False)
    names = [side.name for side in throughput.sides_of("dense", arguments())]
    assert names[:2] == ["helpers", "helpers, float32"] and "Keras" in names
    assert not any("bf16" in name for name in names)
    assert "sides in bf16 are left out" in capsys.readouterr().out


def test_peers_are_left_out_by_a_word_but_never_our_side():
    def names(without):
        return [side.name for side in throughput.sides_of("cnn", arguments(without=without))]

    assert not any("compiled" in name for name in names("compiled")) and "PyTorch, bf16" in names("compiled")
    assert len(names("compiled")) == len(names(None)) - 4
    assert names("helpers") == names(None)


def test_an_epoch_s_cost_is_in_seconds_for_images_and_by_the_image_elsewhere(made_up):
    section = growth.run(arguments(), {"format": "bfloat16"})
    rows = section["axes"]["images"]["rows"]
    # 1,000 images at 40 a second, and the peer at half of it.
    assert rows[0]["seconds"]["helpers"]["median"] == 25.0
    assert rows[0]["seconds"]["PyTorch, channels last, bf16"]["median"] == 50.0
    charts = {chart["name"]: chart for chart in growth.charts(section)}
    assert charts["images"]["lines"][0] == {"name": "helpers", "x": [1000.0, 3000.0, 10000.0, 30000.0, 60000.0],
                                            "y": [25.0, 75.0, 250.0, 750.0, 1500.0]}  # fmt: skip
    assert set(charts["threads"]["lines"][1]["y"]) == {50.0}


def test_threads_go_up_in_powers_of_two_to_all_cores():
    assert [threads.numbers(cores) for cores in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


@pytest.fixture
def scaling(monkeypatch):
    """The part `threads` on four cores, with ten images a second for each thread in training, and an accuracy by threads."""

    def measured(accuracy) -> dict:
        def rounds(sides, count, spec, seed, show):
            def result(side: measure.Side) -> dict:
                speed = {TRAINING.key: 10.0 * side.threads, PREDICTION.key: 50.0}
                return RESULT | speed | {"accuracy": accuracy(side.threads)}

            return [[(1.0, result(side))] * count for side in sides]

        monkeypatch.setattr(measure, "rounds", rounds)
        monkeypatch.setattr(measure, "cores", lambda: 4)
        return threads.run(arguments(rounds=2), None)

    return measured


def test_a_speed_stands_beside_that_of_one_thread(scaling):
    section = scaling(lambda threads: 0.8)
    ours = section["scaling"]["cnn"]["sides"]["helpers"]
    assert section["threads"] == [1, 2, 4]
    assert [entry["median"] for entry in ours[TRAINING.key]] == [10.0, 20.0, 40.0]
    assert [entry["of_one"]["median"] for entry in ours[TRAINING.key]] == [1.0, 2.0, 4.0]
    assert [entry["of_one"]["median"] for entry in ours[PREDICTION.key]] == [1.0, 1.0, 1.0]
    chart = threads.charts(section)[1]
    assert [line["name"] for line in chart["lines"]] == [
        "helpers, training", "helpers, prediction", "PyTorch, bf16, training", "PyTorch, bf16, prediction",
    ]  # fmt: skip
    assert chart["lines"][0] | {"name": ""} == {"name": "", "x": [1.0, 2.0, 4.0], "y": [1.0, 2.0, 4.0]}


def test_a_result_that_depends_on_the_number_of_threads_is_refused(scaling):
    with pytest.raises(measure.BenchError, match=r"same accuracy .* found \[0.81, 0.81\] with 4 threads and \[0.8, 0.8\]"):
        scaling(lambda threads: 0.81 if threads == 4 else 0.8)


def test_a_product_stands_beside_what_products_and_memory_allow(monkeypatch):
    monkeypatch.setattr(measure, "cores", lambda: 2)
    machine = {"bfloat16_gflops": 400.0, "copy_gigabytes_per_second": 1.0}
    # Two steps, with two forwards and two parts of the gradient in each, and a validation that is none of their work.
    other = REPORT[0].replace("128x784", "500x784")
    lines = [*2 * [*REPORT, *REPORT[1:3]], other, "bench: something else, exec\n"]
    found = layers.phase(lines, 2, 0.01, machine)
    forward, gradient, product = found["products"]
    assert product["name"] == "matmul 128x784:784x512"
    # 102.8 million operations in half a millisecond, and 1.065 million values of two bytes: bound by memory here.
    assert product["gflop_per_second"] == pytest.approx(2 * 128 * 784 * 512 / 0.5e-3 / 1e9)
    bytes_moved = 2 * (128 * 784 + 784 * 512 + 128 * 512)
    assert product["flop_per_byte"] == pytest.approx(2 * 128 * 784 * 512 / bytes_moved)
    assert product["share_of_ceiling"] == pytest.approx(product["gflop_per_second"] / product["flop_per_byte"])
    assert forward["name"] == "3 x 3, 32 to 64 channels, 14 x 14, forward" and forward["calls"] == 2
    assert forward["seconds"] == pytest.approx(4e-3)
    assert forward["gflop_per_second"] == pytest.approx(2 * 128 * 14 * 14 * 64 * 32 * 9 / 2e-3 / 1e9)
    assert forward["share_of_ceiling"] == pytest.approx(forward["gflop_per_second"] / min(400.0, forward["flop_per_byte"]))
    # On two threads at once.
    assert gradient["seconds"] == pytest.approx(1e-3) and gradient["name"].endswith("gradient of the kernel")
    assert found["reorder_seconds"] == pytest.approx(1e-5)
    assert found["rest_seconds"] == pytest.approx(10e-3 - 4e-3 - 1e-3 - 0.5e-3 - 1e-5)
    assert "share_of_ceiling" not in layers.phase(lines, 2, 0.01, None)["products"][0]


def test_a_roofline_rises_as_far_as_memory_limits_it():
    row = {"direction": "forward", "gflop_per_second": 1.0, "seconds": 1.0}
    rows = [row | {"flop_per_byte": density} for density in (4.0, 1.0)]
    networks = {"cnn": {"title": "CNN", "phases": {"training": {"products": rows}}}}
    machine = {"bfloat16_gflops": 300.0, "copy_gigabytes_per_second": 100.0}
    [chart] = layers.charts({"layers": networks, "ceilings": machine})
    assert chart["lines"] == [{"name": "ceiling", "x": [1.0, 3.0, 4.0], "y": [100.0, 300.0, 300.0]}]
    assert chart["points"] == [{"name": "training, forward", "x": [1.0, 4.0], "y": [1.0, 1.0]}]
    # All below the products' ceiling, or no ceiling at all.
    assert layers.roofs([5.0, 9.0], machine)[0] == {"name": "ceiling", "x": [5.0, 9.0], "y": [300.0, 300.0]}
    assert layers.charts({"layers": networks, "ceilings": {}})[0]["lines"] == []


def test_the_lines_of_a_phase_are_told_apart():
    found = layers.by_phase(["a", "phase training", "b", "phase evaluation", "c", "phase prediction", "d"])
    assert {name: lines[-1] for name, lines in found.items()} == {"training": "b", "prediction": "d"}


def test_a_side_that_is_listened_to_gives_its_lines_and_has_its_variables():
    code = "import os; print('a line of', os.environ['WORD']); print('{}')"
    heard = measure.Side("echo", [sys.executable, "-c", code], variables={"WORD": "mine"}, listens=True)
    assert measure.run(heard, {})[1] == {"lines": ["a line of mine\n"]}


def test_a_side_of_more_pixels_gets_fewer_images():
    assert growth.point("side", 56, quick=False)["images"] == growth.IMAGES // 4
    assert growth.point("classes", 1000, quick=False)["images"] >= 12000


def test_a_stock_kernel_that_is_not_there_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(cells.shutil, "which", lambda name: None)
    with pytest.raises(measure.BenchError, match="cargo install --locked evcxr_jupyter"):
        cells.run(arguments(stock=True), None)


def test_ceilings_come_first_where_a_part_is_a_share_of_them():
    assert driver.chosen("cnn") == ["ceilings", "cnn"]
    assert driver.chosen("cells") == ["cells"]
    assert driver.chosen(None)[0] == "ceilings"


def test_all_ratios_stand_in_one_chart_the_worst_first(made_up):
    part = driver.PARTS["dense"].run(arguments(), None)
    accuracy = driver.PARTS["time_to_accuracy"].run(arguments(), None)
    chart = driver.overview({"schema": 2, "dense": part, "time_to_accuracy": accuracy})
    assert chart["names"] == ["Dense network: prediction", "Dense network: training",
                              "Dense network to 88%", "CNN to 92%"]  # fmt: skip
    assert chart["values"] == [1.0, 2.0, 2.0, 2.0]
    assert chart["title"] and "Times as fast" in chart["value_name"]
    assert driver.overview({"schema": 2}) is None


def test_a_chart_is_kept_with_its_alternative_text(tmp_path, monkeypatch):
    asked = {}

    def run(side, spec):
        asked.update(spec)
        return 0.1, {"alt": "Bars: helpers 2"}

    monkeypatch.setattr(measure, "run", run)
    chart = {"kind": "bars", "name": "train", "title": "CNN", "value_name": "images/s", "names": ["a"], "values": [2.0]}
    (kept,) = driver.draw(arguments(out=tmp_path / "bench.json"), "cnn", [chart])
    assert kept == {"file": "bench_cnn_train.png", "title": "CNN", "alt": "Bars: helpers 2"}
    assert asked["path"] == str(tmp_path / "figures" / "bench_cnn_train.png")
    assert asked["task"] == "chart" and "name" not in asked


def test_a_file_keeps_the_other_sections_but_not_those_of_another_layout(tmp_path):
    path = tmp_path / "export" / "bench.json"
    driver.write(path, "training", {"a": 1})
    driver.write(path, "grid_search", {"b": 2})
    assert json.loads(path.read_text()) == {"schema": 2, "training": {"a": 1}, "grid_search": {"b": 2}}
    path.write_text(json.dumps({"schema": 1, "training": {"a": 1}}))
    assert driver.write(path, "cnn", {}) == {"schema": 2, "cnn": {}}


def test_no_rounds_are_refused(capsys):
    with pytest.raises(SystemExit):
        driver.arguments(["--data", "data", "--out", "x.json", "--rounds", "0"])
    assert "--rounds must be at least 1, got 0" in capsys.readouterr().err


def test_no_path_of_this_machine_is_kept(tmp_path):
    out = tmp_path / "bench.json"
    driver.write(out, "cells", {"program": str(measure.ROOT / "target" / "bench"), "root": str(measure.ROOT)})
    assert json.loads(out.read_text())["cells"] == {"program": "target/bench", "root": "."}
