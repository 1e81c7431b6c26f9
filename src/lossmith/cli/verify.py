"""`lossmith verify`."""

from pathlib import Path

from lossmith.cli.data import RunConfig
from lossmith.cli.messages import out
from lossmith.datasets import read_image
from lossmith.siamese.runs import RunFolder


def verify_images(run_path: Path, first: Path, second: Path, as_json: bool) -> None:
    """Prints the distance of two images, the threshold, and what follows.

    Raises:
        FileNotFoundError: If there is no such run or image.
        ValueError: If an image cannot be read.
    """
    run = RunFolder.open(run_path)
    wanted = RunConfig.of(run).image_format
    a, b = (read_image(path, wanted)[None] for path in (first, second))
    network = run.load_network()
    distance = float(network.distance(a, b)[0])
    threshold = network.threshold
    same = bool(network.same(a, b)[0])
    if as_json:
        out.print_json(data={"distance": distance, "threshold": threshold, "same": same})
    else:
        verdict = "[bold green]same[/]" if same else "[bold red]different[/]"
        relation = "<" if same else ">="
        out.print(f"{verdict}: distance {distance:.4f} {relation} threshold {threshold:.4f}")
