"""`lossmith verify`."""

from pathlib import Path

import numpy as np
from rich.text import Text

from lossmith.datasets import ImageFormat, read_image, stretched_from
from lossmith.siamese.runs import RunFolder
from lossmith_cli.data import RunConfig
from lossmith_cli.messages import note, out


def verify_images(run_path: Path, first: Path, second: Path, as_json: bool) -> None:
    """Prints the distance of two images, the threshold, and what follows.

    Raises:
        FileNotFoundError: If there is no such run or image.
        ValueError: If an image cannot be read.
    """
    run = RunFolder.open(run_path)
    wanted = RunConfig.of(run).image_format
    a, b = (_read(path, wanted)[None] for path in (first, second))
    network = run.load_network()
    distance = float(network.distance(a, b)[0])
    threshold = network.threshold
    same = bool(network.same(a, b)[0])
    if as_json:
        out.print_json(data={"distance": distance, "threshold": threshold, "same": same})
    else:
        verdict = Text("same", "bold green") if same else Text("different", "bold red")
        relation = "<" if same else ">="
        out.print(verdict + f": distance {distance:.4f} {relation} threshold {threshold:.4f}")


def _read(path: Path, wanted: ImageFormat) -> np.ndarray:
    image = read_image(path, wanted)
    size = stretched_from(path, wanted)
    if size is not None:
        note(
            f"{path} is {size[0]} x {size[1]} (height x width) and is stretched to "
            f"{wanted.height} x {wanted.width}: what it shows changes its proportions."
        )
    return image
