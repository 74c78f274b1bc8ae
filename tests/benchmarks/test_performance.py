# SPDX-License-Identifier: Apache-2.0
"""The guard on speed, and what the benchmark's figures rest on: peers, timer, fits, records, page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.performance import timing
from benchmarks.performance.__main__ import main, run
from benchmarks.performance.blog import BlogNetwork, blog_step, plain_step
from benchmarks.performance.item import Figure, Item
from benchmarks.performance.items import ITEMS
from benchmarks.performance.machine_share import flops_of
from benchmarks.performance.ours import batch, our_step
from benchmarks.performance.page import render, row
from benchmarks.performance.peak_memory import peak_memory
from benchmarks.performance.records import Records, report

ROOT = Path(__file__).resolve().parents[2]
LEAST_RATIO = 4.0
"""Of our step to the blog's; 5 to 6 in fp32 and 7 to 9 in bf16 on a busy core: below is a regression."""
MACHINE = {
    "threads": 2,
    "machine": {"system": "Linux", "processor": "Abacus", "cores": 2, "device": "cpu", "memory_gb": 8},
    "versions": {"python": "3.11", "torch": "2.13.0", "monai": "1.6.1"},
}


def ratio_to_blog() -> float:
    image, present, label = batch(4, 3, 28, "cpu")
    steps = {"blog": blog_step(image, label), "ours": our_step(image, present, label)}
    times = timing.measure(steps, rounds=1, steps=1)
    return timing.times_faster(times["blog"], times["ours"])


@pytest.fixture
def one_thread():
    """One thread: what else the machine does then meets both sides alike."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_our_step_is_several_times_faster_than_the_blogs(one_thread):
    assert any(ratio_to_blog() > LEAST_RATIO for _ in range(2))  # the better of two counts


def test_the_blogs_network_has_the_layers_of_the_blog():
    network = BlogNetwork()
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv3d)]
    dense = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in convolutions] == [
        (1, 32, (3, 3, 3)),
        (32, 64, (3, 3, 3)),
    ] * 3
    assert [(d.in_features, d.out_features) for d in dense] == [
        *[(7 * 7 * 7 * 64, 500), (500, 50)] * 3,
        (150, 50),
        (50, 2),
    ]
    # convolutions with biases and batch normalisation, dense layers with biases
    tower = (27 * 32 + 32) + 2 * 32 + (27 * 32 * 64 + 64) + 2 * 64 + (21952 * 500 + 500) + (500 * 50 + 50)
    assert sum(p.numel() for p in network.parameters()) == 3 * tower + (150 * 50 + 50) + (50 * 2 + 2)


def test_the_blogs_loop_learns():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    image, label = torch.randn(32, 8), torch.arange(32) % 2
    image[:, 0] = label * 2.0 - 1
    for _ in range(50):
        plain_step(network, optimizer, image, label)
    assert (network(image).argmax(dim=1) == label).all()


def test_contenders_are_timed_in_turn_behind_one_step_that_does_not_count(monkeypatch):
    clock, calls = [0.0], []

    def taking(name: str, seconds: float):
        def step():
            calls.append(name)
            clock[0] += seconds * (10 if calls.count(name) == 1 else 1)  # the first step plans its work

        return step

    monkeypatch.setattr(timing, "now", lambda: clock[0])
    times = timing.measure({"slow": taking("slow", 0.8), "fast": taking("fast", 0.1)}, rounds=2, steps=2)
    assert calls == ["slow", "fast"] + ["slow", "slow", "fast", "fast"] * 2
    assert times["slow"] == pytest.approx([800, 800])
    assert times["fast"] == pytest.approx([100, 100])
    assert timing.times_faster(times["slow"], times["fast"]) == pytest.approx(8.0)


def test_a_slow_round_of_the_machine_does_not_move_the_ratio():
    assert timing.times_faster([8.0, 80.0, 8.0], [1.0, 10.0, 1.0]) == 8.0


def test_the_exponent_of_a_power_law_is_found_whatever_its_factor():
    sizes = [100.0, 300.0, 1000.0, 10_000.0]
    for exponent in (0.0, 1.0, 1.5):
        costs = [7 * size**exponent for size in sizes]
        assert timing.growth_exponent(sizes, costs) == pytest.approx(exponent)


def test_operations_of_a_step_count_forward_and_backward():
    weight, image = torch.rand(30, 20, requires_grad=True), torch.rand(40, 30)
    # the image needs no gradient: one product forward, one backward
    assert flops_of(lambda: (image @ weight).sum().backward()) == 2 * (2 * 40 * 30 * 20)


def test_memory_is_that_of_the_work_alone():
    kept = bytes([1]) * (300 * 2**20)  # what this process holds does not count
    raised, result = peak_memory(eval, "len(bytes([1]) * (200 * 2**20))")
    assert result == 200 * 2**20
    assert raised == pytest.approx(200, abs=20)
    assert len(kept) > result


def test_a_stopped_benchmark_goes_on_without_measuring_anew(tmp_path, monkeypatch):
    measured = []

    def measure(repeat: int, work: Path) -> dict[str, float]:
        measured.append(repeat)
        if len(measured) == 2:
            raise KeyboardInterrupt
        return {"ratio": 2.0 + repeat}

    monkeypatch.setitem(ITEMS, "trial", Item("trial", (Figure("ratio", "a ratio"),), measure))
    records = Records(tmp_path / "records", MACHINE)
    with pytest.raises(KeyboardInterrupt):
        run(["trial"], 3, records, tmp_path)
    run(["trial"], 3, records, tmp_path)
    assert measured == [0, 1, 1, 2]
    found = report(records, ITEMS.values())
    assert found["items"] == {"trial": {"ratio": {"median": 3.0, "min": 2.0, "max": 4.0, "repeats": 3}}}
    assert found["machine"]["processor"] == "Abacus"


def test_records_of_another_machine_are_not_mixed_in(tmp_path):
    Records(tmp_path, MACHINE)
    with pytest.raises(ValueError, match="thread count"):
        Records(tmp_path, {**MACHINE, "threads": 1})


@pytest.mark.parametrize(
    ("figure", "value", "reached"),
    [
        (Figure("a", "", least=8.0), 8.0, "yes"),
        (Figure("a", "", least=8.0), 7.99, "**no**"),
        (Figure("a", "", "%", most=5.0), 5.1, "**no**"),
        (Figure("a", "", "%", most=5.0), -1.0, "yes"),
        (Figure("a", ""), 1.0, ""),
    ],
)
def test_a_goal_is_reached_or_not(figure, value, reached):
    found = {"median": value, "min": value, "max": value, "repeats": 1}
    assert row(figure, found)["reached"] == reached


def test_the_page_shows_medians_ranges_and_what_is_provisional():
    spread = {"median": 9.46, "min": 8.0, "max": 10.04, "repeats": 5}
    content = {**MACHINE, "items": {"training_step": {"bf16": spread}, "folds": {"speedup": spread}}}
    page = render(content)
    assert "| bf16, bare, against the three-tower loop (a) | 9.5 × (8.0 to 10.0) | at least 10.0 × | **no** |" in page
    assert page.count("Provisional") == 0
    assert page.count("Not measured yet") == len(ITEMS) - 2
    few = {"training_step": {"bf16": spread | {"repeats": 4}}}
    assert page.count("Provisional") == 0
    assert render({**MACHINE, "items": few}).count("Provisional: fewer than the 5 repeats") == 1


def test_every_item_has_a_section_of_the_page():
    page = render({**MACHINE, "items": {}})
    for name in ITEMS:
        assert f"--items {name}`" in page


def test_the_page_is_what_the_figures_say(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    main(["--check"])
    changed = tmp_path / "performance.md"
    changed.write_text((ROOT / "docs" / "performance.md").read_text(encoding="utf-8") + "faster\n")
    with pytest.raises(SystemExit, match="differs"):
        main(["--check", "--page", str(changed)])


@pytest.mark.slow
def test_the_command_measures_an_item_and_writes_page_and_figures(tmp_path):
    files = {name: tmp_path / name for name in ("figures.json", "page.md")}
    command = [sys.executable, "-m", "benchmarks.performance", "--items", "machine_share", "--repeats", "1"]
    command += ["--work", str(tmp_path), "--output", str(files["figures.json"]), "--page", str(files["page.md"])]
    subprocess.run(command, check=True, cwd=ROOT)
    content = json.loads(files["figures.json"].read_text(encoding="utf-8"))
    share = next(found for name, found in content["items"]["machine_share"].items() if "share" in name)
    assert 0 < share["median"] < 100
    assert files["page.md"].read_text(encoding="utf-8") == render(content, "figures.json")
