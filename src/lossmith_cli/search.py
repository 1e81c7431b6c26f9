"""`lossmith search`."""

import functools
import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from lossmith.datasets import LabelledImages
from lossmith.files import moved_into_place
from lossmith.siamese import SiameseNetwork
from lossmith.siamese.gallery import Gallery, usearch_index
from lossmith.siamese.runs import RunFolder
from lossmith_cli.arguments import check_new_file
from lossmith_cli.data import RunConfig, load_gallery_for, load_images_for, read_query
from lossmith_cli.messages import note, out

_PICTURES = (".png", ".svg", ".pdf")


def search_images(
    run_path: Path,
    query: Path,
    gallery_source: str | None,
    k: int,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Prints the images of a gallery that are nearest to an image, with their distances.

    Raises:
        FileNotFoundError: If there is no such run, image or data set.
        FileExistsError: If there is a file where the picture is to go.
        ValueError: If an image cannot be read, or those of the gallery have another format.
        ModuleNotFoundError: If the extra that the search needs is not installed.
    """
    if picture is not None:
        _check_picture(picture)
    usearch_index()
    run = RunFolder.open(run_path)
    config = RunConfig.of(run)
    image = read_query(query, config.image_format)
    network = run.load_network()
    source = gallery_source or config.data.get("source")
    if not isinstance(source, str) or not source:
        raise ValueError(
            f"{run.path / 'config.json'} does not name the data of the training; give --gallery."
        )
    load_those = load_images_for if gallery_source is None else load_gallery_for
    load_gallery = functools.cache(lambda: load_those(source, run, config.image_format))
    if gallery_source is None:
        gallery = _kept_gallery(run, network, source, load_gallery)
    else:
        gallery = _embedded(network, load_gallery())
    found = gallery.search(network.embed(image[np.newaxis]), k)
    indices, measured = found.indices[0], found.distances[0]
    threshold = float(network.threshold)  # type: ignore[arg-type]  # load_network refuses None
    neighbours = [
        {
            "image": gallery.names[index],
            "class": gallery.classes[index],
            "distance": float(distance),
            "same": bool(distance < threshold),
        }
        for index, distance in zip(indices.tolist(), measured, strict=True)
    ]
    if as_json:
        out.print_json(data={"gallery": source, "threshold": threshold, "neighbours": neighbours})
    else:
        out.print(f"The nearest of {len(gallery):,} images; same below {threshold:.4f}.")
        _print(neighbours)
    if picture is not None:
        data = load_gallery()
        _check_unchanged(data, gallery, run)
        _draw(picture, image, data.images[indices], neighbours, threshold)


def _kept_gallery(
    run: RunFolder, network: SiameseNetwork, source: str, load: Callable[[], LabelledImages]
) -> Gallery:
    """The gallery in the run folder; it is made if there is none of this very network."""
    with run.model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    made_with = json.dumps({"model_sha256": digest, "source": source}, sort_keys=True)
    if run.gallery.is_file():
        kept = Gallery.load(run.gallery)
        if kept.made_with == made_with:
            return kept
    data = load()
    note(f"The {len(data):,} images of {source} are embedded once, into {run.gallery}.")
    gallery = _embedded(network, data, made_with)
    gallery.save(run.gallery)
    return gallery


def _embedded(network: SiameseNetwork, data: LabelledImages, made_with: str = "") -> Gallery:
    return Gallery(
        network.embed(data.images),
        [data.images.name(index) for index in range(len(data))],
        [data.class_names[label] for label in data.labels],
        network.get_config()["distance"],
        made_with,
    )


def _print(neighbours: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("Distance", justify="right")
    for heading in ("", "Class", "Image"):
        table.add_column(heading)
    for each in neighbours:
        verdict = "same" if each["same"] else "different"
        table.add_row(f"{each['distance']:.4f}", verdict, each["class"], each["image"])
    out.print(table, soft_wrap=False)


def _check_picture(path: Path) -> None:
    if path.suffix.lower() not in _PICTURES:
        raise ValueError(
            f"A picture is written as {', '.join(_PICTURES)}; {str(path)!r} has another ending."
        )
    check_new_file(path, "picture")


def _check_unchanged(data: LabelledImages, gallery: Gallery, run: RunFolder) -> None:
    if tuple(data.images.name(index) for index in range(len(data))) != tuple(gallery.names):
        raise ValueError(
            f"The images are no longer those that were embedded into {run.gallery}. Remove that "
            "file, and the next search embeds them again."
        )


def _draw(
    path: Path,
    query: np.ndarray,
    images: np.ndarray,
    neighbours: list[dict[str, Any]],
    threshold: float,
) -> None:
    from lossmith.report.figures import nearest_images

    classes = [each["class"] for each in neighbours]
    figure = nearest_images(
        query, images, classes, [each["distance"] for each in neighbours], threshold
    )
    with moved_into_place(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, dpi=144)
