"""`lossmith evaluate`."""

from pathlib import Path

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
    difference = config.difference_of(data)
    images = split(data, config.settings).test if difference is None else data.test or data
    if difference is not None:
        note(_on_other_data(difference, config.lacks_images(data)))
    kind = pairs or results.test_pairs_of(config.settings)
    with busy_with(f"Measuring {len(images):,} images"):
        evaluation = results.evaluate(network, images, kind, config.settings.seed)
        figures, retrieval = evaluation.report(), evaluation.retrieval()
    if as_json:
        parts = {**figures.to_dict(), "retrieval": retrieval.to_dict()}
        told = {"threshold": evaluation.threshold, "held_out_of_training": difference is None}
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


def _on_other_data(difference: str, lacks_images: bool) -> str:
    told = f"These are other data than the training's ({difference}): see to it that they share no"
    if not lacks_images:
        return f"{told} image."
    return (
        f"{told} image. Of a copy that has lost some, all the others are measured here, those that "
        "were trained on among them: bring the lost ones back to have the held-out images found."
    )
