"""The experiment's page: tables, plots with their data beside them, and the published shapes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadInputError
from engine.training.analysis import Estimate, samples_needed
from engine.training.arms import ARMS
from engine.training.experiment import ExperimentConfig, Results
from engine.training.shapes import EVOLVING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0)
RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
SAYS = {arm.name: arm.says for arm in ARMS}
STYLES = {"B": "-", "M": ":", "R": "--"}
"""How an arm's line is drawn, by its name's letter; there are more arms than colours."""
PUBLISHED = {
    "mutation SFT, self-evolve": (0.221, 0.236, 0.248, 0.252),
    "mutation SFT, reward model selects": (0.221, 0.296, 0.321, 0.345),
    "RL, self-evolve": (0.465, 0.549, 0.569, 0.583),
}
"""Mean reward score: greedy, then iterations 1 to 3 (arXiv 2505.23604, read off a figure, 32B)."""


def write_page(page: Path, found: Results, config: ExperimentConfig) -> None:
    """Write the page, and beside it a folder of its name with plots and data.

    Raises:
        BadInputError: matplotlib is not installed.
    """
    beside = page.with_suffix("")
    beside.mkdir(parents=True, exist_ok=True)
    data = json.dumps(asdict(found), indent=1)
    (beside / "figures.json").write_text(data + "\n", encoding="utf-8")
    draw_plots(found, beside)
    page.write_text("\n".join(_lines(found, config, beside.name)) + "\n", encoding="utf-8")


def _lines(found: Results, config: ExperimentConfig, beside: str) -> Iterator[str]:
    """The page, line by line."""
    yield from (
        "# Does it learn to improve its own patches?",
        "",
        f"Written by `{_command(config)}`; the figures as data: "
        f"[figures.json]({beside}/figures.json). What the models were trained on is said in "
        "[training.md](../training.md#the-experiment).",
        f"{found.tasks} held-out tasks in {found.functions} functions of packages that no stage "
        f"was trained on; {config.rl_steps} RL steps of {config.rl_prompts} prompts with 8 "
        f"samples, {config.seeds} seeds an RL arm. A sample counts as right when all examples, "
        "visible and hidden, come out right.",
        "Intervals are 95 %, from a bootstrap over functions and seeds.",
        "",
        "## By iteration",
        "",
        "What one fresh sample is worth at each iteration.",
        "",
    )
    yield from table(
        ["arm", "iteration", "samples so far", "right", "reward", "reward model", "copies",
         "unusable", "distinct", "CPU s a task"],
        [
            [f"{name}: {SAYS[name]}" if not row.iteration else "", row.iteration, row.samples_spent,
             share(row.solved), f"{row.reward:.3f}", f"{row.score:.3f}", f"{row.copied:.0%}",
             f"{row.unusable:.0%}", f"{row.distinct:.1f}", f"{row.cpu_s:.2f}"]
            for name, rows in found.by_iteration.items()
            for row in rows
        ],
    )  # fmt: skip
    yield from ("", f"![Right samples by iteration]({beside}/iterations.png)", "")
    yield from ("## Solved by any of the first N samples", "")
    yield from _curves(found.pooled)
    yield from ("", f"![Solved by N samples]({beside}/samples.png)", "")
    if found.best_of:
        yield from ("## Best of N of repeated sampling (B1), by who chooses", "")
        yield from _curves(found.best_of)
        yield ""
    yield from _mixes(found)
    yield from ("## Samples needed", "")
    yield from table(
        ["arm", *(f"{rate:.0%}" for rate in RATES)],
        [
            [name, *(samples_needed([(n, e.mean) for n, e in curve], r) or "-" for r in RATES)]
            for name, curve in found.pooled.items()
        ],
    )
    yield from _at_equal_seconds(found, beside)
    yield from _goals(found)
    yield from ("", "## Contrasts named beforehand", "")
    yield from table(
        ["contrast", "difference", "p", "p after Holm"],
        [
            [each.name, points(each.difference), f"{each.p:.4f}", f"{each.p_holm:.4f}"]
            for each in found.contrasts
        ],
    )
    yield from ("", "## Beside the published figures", "")
    yield from _published(found)


def _at_equal_seconds(found: Results, beside: str) -> Iterator[str]:
    """What every arm solves for the same CPU time."""
    yield from ("", "## At equal CPU seconds", "")
    yield "Solved by any of the samples that so many seconds a task draw; judging is not counted."
    yield ""
    yield from table(
        ["arm", *(f"{budget:g} s" for budget in SECONDS)],
        [[name, *_within(found, name)] for name in found.pooled],
    )
    yield from ("", f"![Solved by CPU seconds]({beside}/seconds.png)", "")


def _within(found: Results, arm: str) -> Iterator[str]:
    """An arm's rate at each budget of CPU seconds: that of the most samples which it pays for."""
    for budget in SECONDS:
        paid = [told for count, told in found.pooled[arm] if count * sample_s(found, arm) <= budget]
        yield share(paid[-1]) if paid else "-"


def sample_s(found: Results, arm: str) -> float:
    """CPU seconds that an arm takes to draw one sample."""
    last = found.by_iteration[arm][-1]
    return last.cpu_s / last.samples_spent


def _mixes(found: Results) -> Iterator[str]:
    """What free writing in the place of some ranked rewrites gives."""
    if found.mixes:
        yield from ("## Ranked rewrites (B3), so many written freely (B1) in their place", "")
        yield from _curves({"solved by any of 20": found.mixes})
        yield ""


def _command(config: ExperimentConfig) -> str:
    """The command that repeats the run."""
    told = (
        f"--limit {config.limit} --seeds {config.seeds} --rl-steps {config.rl_steps} "
        f"--rl-prompts {config.rl_prompts}"
    )
    return f"evoscale train experiment {told}"


def _goals(found: Results) -> Iterator[str]:
    """Few evolving samples beside many repeated ones."""
    if not found.goals:
        return
    most = found.goals[0].repeated_samples
    yield from ("", f"## {EVOLVING} samples that evolve, {most} that do not", "")
    yield (
        f"Solved by any of {EVOLVING} samples of an arm, and how many samples of the classical "
        f"model (B1) reach that rate; {most} of them solve {share(found.goals[0].repeated)}."
    )
    yield ""
    yield from table(
        ["arm", f"solved by {EVOLVING}", "B1 needs", "CPU s a task", f"CPU s of B1's {most}"],
        [
            [f"{each.arm}: {SAYS[each.arm]}", share(each.rate),
             each.needed or f"more than {most}", f"{each.seconds[0]:.2f}", f"{each.seconds[1]:.2f}"]
            for each in found.goals
        ],
    )  # fmt: skip


def _published(found: Results) -> Iterator[str]:
    """Which published claims hold here, and the 32B model's mean reward scores beside ours."""
    yield from table(
        ["published claim", "their figures (32B)", "our difference (7M)", "here"],
        [[s.claim, s.published, points(s.ours), s.finding.value] for s in found.shapes],
    )
    yield ""
    yield "Mean score of the reward model by iteration; theirs begins with a greedy sample."
    yield ""
    rows: list[list[object]] = [
        [name, "32B", *(f"{score:.3f}" for score in scores)] for name, scores in PUBLISHED.items()
    ]
    for name in ("M1", "M2", "R3"):
        if name in found.by_iteration:
            scores = [f"{row.score:.3f}" for row in found.by_iteration[name]]
            rows.append([f"{name}: {SAYS[name]}", "7M", *scores])
    yield from table(["", "size", "first", "1", "2", "3"], rows)


def _curves(curves: dict[str, list[tuple[int, Estimate]]]) -> Iterator[str]:
    """A row a curve, a column a number of samples."""
    counts = sorted({count for curve in curves.values() for count, _ in curve})
    rows = [
        [name, *(share(dict(curve)[n]) if n in dict(curve) else "" for n in counts)]
        for name, curve in curves.items()
    ]
    yield from table(["", *map(str, counts)], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A Markdown table."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def share(told: Estimate) -> str:
    """A share with its interval, in per cent."""
    return f"{told.mean:.1%} ({100 * told.low:.1f} to {100 * told.high:.1f})"


def points(told: Estimate) -> str:
    """A difference of shares with its interval, in points."""
    return f"{100 * told.mean:+.1f} points ({100 * told.low:+.1f} to {100 * told.high:+.1f})"


def draw_plots(found: Results, folder: Path) -> None:
    """`iterations.png`, `samples.png` and `seconds.png`.

    Raises:
        BadInputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        msg = "plots need matplotlib; pip install 'evoscale[train]'"
        raise BadInputError(msg) from error

    figure = Figure(figsize=(10.5, 5), layout="constrained")
    axes = figure.subplots()
    for name, rows in found.by_iteration.items():
        if len(rows) > 1:
            told = [(row.iteration, row.solved) for row in rows]
            _line(axes, f"{name}: {SAYS[name]}", told)
    axes.set(xlabel="iteration", ylabel="right samples, %")
    axes.set_xticks(range(4))
    _finish(axes)
    figure.savefig(folder / "iterations.png", dpi=110)

    for plot, spends in (("samples", "samples"), ("seconds", "CPU seconds a task")):
        figure = Figure(figsize=(10.5, 5), layout="constrained")
        axes = figure.subplots()
        for name, curve in found.pooled.items():
            each = 1.0 if plot == "samples" else sample_s(found, name)
            _line(axes, f"{name}: {SAYS[name]}", [(count * each, told) for count, told in curve])
        axes.set(xlabel=spends, ylabel="tasks solved by any of them, %", xscale="log")
        _finish(axes)
        figure.savefig(folder / f"{plot}.png", dpi=110)


def _line(axes: "Axes", label: str, told: Sequence[tuple[float, Estimate]]) -> None:
    """A curve with its interval."""
    at = [x for x, _ in told]
    style = STYLES[label[0]]
    means = [100 * e.mean for _, e in told]
    (line,) = axes.plot(at, means, style, marker="o", markersize=3, label=label)
    low, high = [100 * e.low for _, e in told], [100 * e.high for _, e in told]
    axes.fill_between(at, low, high, alpha=0.12, color=line.get_color(), linewidth=0)


def _finish(axes: "Axes") -> None:
    """What all plots share."""
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
