"""`lossmith evaluate`."""

from pathlib import Path

from lossmith.datasets import LabelledImages
from lossmith.siamese.runs import RunFolder
from lossmith_cli import results
from lossmith_cli.arguments import check_new_file
from lossmith_cli.data import RunConfig, load_images_for, split
from lossmith_cli.messages import busy_with, err, note, out


def evaluate_run(
    run_path: Path, source: str, pairs: results.TestPairs | None, report: Path | None, as_json: bool
) -> None:
    """Prints the figures of a trained network on images that it was not trained on.

    Without `pairs` they are those of the test that ended the training.

    Raises:
        ValueError: If the images have another format than those of the training.
        FileExistsError: If there is a file where the report is to go.
        FileNotFoundError: If there is no such run, or no folder for the report.
    """
    if report is not None:
        check_new_file(report, "report")
    run = RunFolder.open(run_path)
    config = RunConfig.of(run)
    network = run.load_network()
    data = load_images_for(source, run, config.image_format)
    is_of_training = config.trained_on(data)
    images = _held_out(data, config) if is_of_training else _foreign(data)
    kind = pairs or results.test_pairs_of(config.settings)
    with busy_with(f"Measuring {len(images):,} images"):
        evaluation = results.evaluate(network, images, kind, config.settings.seed)
        figures, retrieval = evaluation.report(), evaluation.retrieval()
    if as_json:
        parts = {**figures.to_dict(), "retrieval": retrieval.to_dict()}
        told = {"threshold": evaluation.threshold, "held_out_of_training": is_of_training}
        out.print_json(data={**told, **parts})
    else:
        out.print(f"{len(images):,} images; same if the distance is < {evaluation.threshold:.4f}.")
        results.print_report(figures, retrieval)
    if report is not None:
        results.write_html(
            report,
            evaluation,
            figures,
            retrieval,
            title=f"{run_path.name} on {Path(source).name}",
            config=run.config(),
            history=run.history(),
            margin=config.settings.margin,
            notes=data.notes,
        )
        err.print(f"The report is in {report}.")


def _held_out(data: LabelledImages, config: RunConfig) -> LabelledImages:
    return split(data, config.settings).test


def _foreign(data: LabelledImages) -> LabelledImages:
    note("These are other data than the training's: see to it that they share no image.")
    return data.test or data
