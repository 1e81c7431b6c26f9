"""`lossmith verify`."""

from pathlib import Path

from rich.text import Text

from lossmith.siamese.runs import RunFolder
from lossmith_cli.data import RunConfig, read_query
from lossmith_cli.messages import out


def verify_images(run_path: Path, first: Path, second: Path, as_json: bool) -> None:
    """Prints the distance of two images, the threshold, and what follows.

    Raises:
        FileNotFoundError: If there is no such run or image.
        ValueError: If an image cannot be read.
    """
    run = RunFolder.open(run_path)
    wanted = RunConfig.of(run).image_format
    a, b = (read_query(path, wanted)[None] for path in (first, second))
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
