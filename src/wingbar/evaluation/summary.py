"""An evaluation as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wingbar._system.text import printable, several
from wingbar.data.checks import named
from wingbar.evaluation.answers import AnswersReport
from wingbar.evaluation.calibration import CalibrationReport
from wingbar.evaluation.evaluate import Evaluation
from wingbar.evaluation.evidence import EvidenceReport
from wingbar.evaluation.localization import LocalizationReport
from wingbar.evaluation.occasions import OccasionsReport
from wingbar.evaluation.strangers import StrangersReport
from wingbar.evaluation.tables import percent, percent_interval, render
from wingbar.explain.erasing import FILLS


def table(evaluation: Evaluation) -> str:
    """The evaluation as text for people."""
    c = evaluation.classification
    five = f"top-5 {percent(c.top5)}, " if len(c.per_class) > 5 else ""
    lines = [
        f"{several(c.pictures, 'test picture')}; top-1 {percent_interval(c.top1, *c.top1_interval)}, {five}"
        f"macro recall {percent(c.macro_recall)}",
        _scores_line(evaluation.calibration),
        *_occasions_lines(evaluation.occasions),
        *_answers_lines(evaluation.answers),
        *_strangers_lines(evaluation.strangers),
        "",
        render(["streams", "top-1"], [[name, percent(value)] for name, value in evaluation.combinations.items()]),
    ]
    if evaluation.localization:
        lines += ["", _localization_table(evaluation.localization)]
    if evaluation.parts:
        rows = [
            [str(cluster.cluster), str(cluster.boxes), keypoint or "-", percent(cluster.holds.get(keypoint or ""))]
            for cluster in evaluation.parts.clusters
            for keypoint in [cluster.best]
        ]
        lines += ["", render(["cluster", "parts", "holds most often", "share"], rows)]
    if evaluation.evidence:
        lines += ["", _evidence_table(evaluation.evidence)]
    if c.confused:
        rows = [[pair.first, pair.second, str(pair.count)] for pair in c.confused[:5]]
        lines += ["", render(["taken for each other", "", "pictures"], rows)]
    if evaluation.failures:
        where = " (listed in evaluation.json)" if evaluation.folder else ""
        lines += ["", f"{several(len(evaluation.failures), 'picture')} could not be read{where}"]
    return "\n".join([*lines, *_remarks(evaluation)])


def _scores_line(report: CalibrationReport) -> str:
    surest = percent(report.coverage["0.9"])
    return (
        f"mean score {report.mean_score:.2f}; scores are off by {percent_interval(*report.ece)} (ECE); "
        f"NLL {report.nll:.3f}, Brier {report.brier:.3f}; of the surest nine in ten {surest} are right"
        + (
            f"; {percent(report.sets.value)} are among their candidates, {report.set_size:.1f} classes; of the class "
            f"where they are least often {percent(min(share for share in report.sets_by_class if share is not None))}"
            if report.sets
            else ""
        )
    )


def _occasions_lines(report: OccasionsReport | None) -> Iterator[str]:
    if report is None:
        return
    yield f"{report.occasions} occasions, each counted once: top-1 {percent_interval(*report.top1)}"
    if report.together and report.surest and report.most:
        yield (
            f"{report.several} of several pictures: all together {percent_interval(*report.together)}, the surest "
            f"picture {percent(report.surest.value)}, what most are named {percent(report.most.value)}"
        )


def _answers_lines(report: AnswersReport | None) -> Iterator[str]:
    if report is None:
        return
    rows = [*report.levels.items(), ("any of these", report.any_level)]
    cut_off = f"by class with a score of {report.accuracy:g} at least"
    lines = [
        [printable(name), percent(one.share), percent_interval(*one.right) if one.right else "-"]
        for name, one in (*rows, (cut_off, report.cut_off))
    ]
    yield f"\nanswers that are to be right {100 * report.accuracy:g} times in 100, by thresholds of held-out pictures"
    yield render(["answered by", "pictures", "right of these"], lines) + "\n"


def _strangers_lines(report: StrangersReport | None) -> Iterator[str]:
    if report is None:
        return
    yield f"{percent_interval(*report.refused)} of the pictures are taken for none of the classes"
    if report.caught and report.known and report.score:
        caught = percent_interval(*report.caught)
        yield f"{report.pictures} pictures of unknown classes: {caught} are taken for none of the classes"
        rows = [
            [
                name,
                f"{one.auroc.value:.3f} ({one.auroc.low:.3f} to {one.auroc.high:.3f})",
                percent(one.fpr95),
                f"{one.oscr:.3f}",
            ]
            for name, one in (("known", report.known), ("largest score", report.score))
        ]
        yield "\n" + render(["told by", "AUROC", "FPR at 95 % TPR", "OSCR"], rows)


def _remarks(evaluation: Evaluation) -> Iterator[str]:
    """What one has to know of the pictures to read the figures rightly, a paragraph each."""
    if evaluation.whole:
        yield "\nThe data set has no test split: all its pictures were used. None must have been trained on."
    if evaluation.absent:
        yield f"\nNo picture shows {len(evaluation.absent)} of the model's classes: {named(evaluation.absent)}"
    if evaluation.unknown:
        yield (
            f"\nLeft out: {several(sum(evaluation.unknown.values()), 'picture')} of classes that the model does not "
            f"know: {named(evaluation.unknown)}"
        )
    if evaluation.skipped:
        yield "\n" + "\n".join(evaluation.skipped)
    if evaluation.folder is None:
        yield "\nNothing was kept: the run's folder cannot be written to. Give a folder with --out to keep it."


def _evidence_table(report: EvidenceReport) -> str:
    def row(name: str, falls: tuple[float, float, float], fills: Sequence[float]) -> list[str]:
        value, low, high = falls
        return [name, f"{value:.2f} ({low:.2f} to {high:.2f})", " / ".join(f"{fall:.2f}" for fall in fills)]

    parts, random = zip(*(report.by_fill[fill] for fill in FILLS), strict=True)
    rows = [
        row("a part", report.part, parts),
        row("a random box of its size on the object", report.random, random),
        row("the object", report.whole_object, ()),
    ]
    times = "" if report.ratio is None else f"A part counts {report.ratio.value:.1f} times as much as a random box. "
    return (
        render(["erased", "the margin falls by (logits)", " / ".join(FILLS)], rows)
        + f"\n\n{times}{several(report.pictures, 'picture')}, mean margin {report.margin:.2f}; with the object erased "
        f"{percent_interval(*report.background)} are named rightly."
    )


def _localization_table(report: LocalizationReport) -> str:
    rows = []
    for name, row in (("our box", report.ours), ("centre box", report.centre)):
        v2 = row.max_box_acc.mean if row.max_box_acc else None
        share = percent_interval(row.share["0.5"], *row.share_interval)
        over = " / ".join(percent(value) for value in row.share.values())
        rows.append([name, share, over, f"{row.mean_iou:.3f}", percent(v2)])
    return render(["object box", "IoU >= 0.5", "IoU >= .3 / .5 / .7", "mean IoU", "MaxBoxAccV2 of the map"], rows)
