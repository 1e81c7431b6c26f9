"""The commands, their options and their help."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from lossmith_cli.arguments import (
    Distance,
    Pairs,
    Preset,
    one_of,
    parse_hyperparameters,
    parse_image_size,
)
from lossmith_cli.check import check
from lossmith_cli.messages import plain_errors
from lossmith_cli.start_up import start_up

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
)

_TRAINING = "Training"
_NETWORK = "Network and loss"

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="mnist5k, fashion-mnist (Debian's package dataset-fashion-mnist, else downloaded by "
        "Keras), a folder with a sub-folder per class, or an .npz file with the arrays x and y.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")]


def _show_version(asked: bool) -> None:
    if asked:
        with plain_errors():
            typer.echo(f"lossmith {version('lossmith')}")
        raise typer.Exit


@app.callback()
def lossmith(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Train a network that says whether two images show the same kind of thing, and use it.

    **A first run**, on 5000 handwritten digits, in about a minute:

        lossmith train mnist5k --out runs/digits

    Then open runs/digits/report.html. **Your own images** go into a folder with one
    sub-folder per class:

        lossmith train photos/ --out runs/photos

        lossmith verify runs/photos one.jpg other.jpg
    """


@app.command()
def train(
    data: DataArgument,
    out: Annotated[
        Path,
        typer.Option(metavar="RUN", help="The folder to make; it must not hold anything yet."),
    ],
    preset: Annotated[
        Preset | None,
        typer.Option(
            parser=one_of(Preset),
            metavar="default|lab",
            help="Where all other settings come from: lossmith's own, made for the best network "
            "in a given time, or those of the course's lab.",
            show_default="default",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in RUN.")
    ] = False,
    encoder: Annotated[
        Preset | None,
        typer.Option(
            parser=one_of(Preset),
            metavar="default|lab",
            help="Network: a convolutional one, or the three dense layers of the lab.",
            show_default="as the preset",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    embedding_size: Annotated[
        int | None,
        typer.Option(
            help="Numbers that stand for an image; the lab's network has 128.",
            show_default="64",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    distance: Annotated[
        Distance | None,
        typer.Option(
            parser=one_of(Distance),
            metavar="NAME",
            help="euclidean, squared_euclidean, manhattan or cosine.",
            show_default="that of the loss, else euclidean",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="A loss of pair labels or class ids, such as contrastive, triplet or arcface; see "
            "`lossmith list`. One of your own trains from Python only.",
            show_default="supervised_contrastive; contrastive with --preset lab",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Distance that the loss keeps between different images: --set margin=...",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A hyperparameter of the loss, such as temperature=0.2; repeatable.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Times that all images are seen.",
            show_default="100 to 5, the fewer the more images there are; 20 with --preset lab",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Images, or pairs, of a step.",
            show_default="128; 256 from 20,000 images on",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Largest learning rate.",
            show_default="0.004; 0.001 for a loss of pair labels",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop early after so many epochs without a better validation AUC, and keep the "
            "best one; 0 trains to the end.",
            show_default="0",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of weights, order and split.", show_default="0", rich_help_panel=_TRAINING
        ),
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE|HEIGHTxWIDTH",
            help="Size to bring the images of a folder to.",
            show_default="the most common one, with sides up to 160",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
) -> None:
    """Train a network and write the run folder RUN.

    **DATA** is a name, a folder or an .npz file. A folder has one sub-folder per class:

        photos/cat/1.jpg   photos/cat/2.jpg   photos/dog/1.png   ...

    An .npz file has images x, (N, H, W) or (N, H, W, 3) from 0 to 255 or from 0 to 1, and labels
    y, (N,) numbers or strings; x_test and y_test if there is a test part. Give at least two
    classes with at least 6 images each.

    Some images are held out: a part to choose the threshold on, another for the figures. RUN then
    holds the network (model.keras, for keras.models.load_model), its settings (config.json), the
    figures (metrics.json, history.json), a report for people (report.html) and the checkpoints.

    Ctrl-C ends the training; complete epochs are kept, and the same command with --resume goes on.

    Options that are left out follow the preset and the number of images; config.json has them all.

    **Examples**

        lossmith train mnist5k --out runs/digits

        lossmith train photos/ --out runs/photos --image-size 64 --epochs 30

        lossmith train fashion-mnist --out runs/lab --preset lab

        lossmith train images.npz --out runs/c --loss contrastive --margin 1.5
    """
    with plain_errors():
        hyperparameters = parse_hyperparameters(assignments or [], margin)
        size = parse_image_size(image_size)
        options = {
            "encoder": encoder and encoder.value,
            "embedding_size": embedding_size,
            "distance": distance and distance.value,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "patience": patience,
            "seed": seed,
        }
        with start_up():
            from lossmith_cli import train as command

        request = command.Request(
            source=data,
            out=out,
            preset=None if preset is None else preset.value,
            given={name: value for name, value in options.items() if value is not None},
            loss=loss,
            hyperparameters=hyperparameters,
            image_size=size,
        )
        (command.resume if resume else command.start)(request)


@app.command()
def evaluate(
    run: RunArgument,
    data: DataArgument,
    pairs: Annotated[
        Pairs | None,
        typer.Option(
            parser=one_of(Pairs),
            metavar="balanced|lab",
            help="Two pairs for each image, or those of the course's lab.",
            show_default="as RUN was tested",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report (HTML) to this new file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well the network of RUN tells the images of DATA apart.

    If DATA is what RUN was trained on, only the images that were held out are used. The threshold
    is the one chosen when the network was trained.

    **Example**

        lossmith evaluate runs/digits mnist5k --json
    """
    with plain_errors():
        with start_up():
            from lossmith_cli.evaluate import evaluate_run

        evaluate_run(run, data, None if pairs is None else pairs.value, report, as_json)


@app.command()
def verify(
    run: RunArgument,
    first: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    second: Annotated[Path, typer.Argument(metavar="OTHER", help="Another one.")],
    as_json: AsJson = False,
) -> None:
    """Say whether two image files show the same, by the network of RUN.

    Below the threshold the two are called the same. The exit code is 0 for either answer.

    **Example**

        lossmith verify runs/digits a.png b.png
    """
    with plain_errors():
        with start_up():
            from lossmith_cli.verify import verify_images

        verify_images(run, first, second, as_json)


@app.command()
def search(
    run: RunArgument,
    query: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    gallery: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Search among these images: a folder, with sub-folders or without, an .npz file "
            "or a data set by name; one class is enough.",
            show_default="the data that RUN was trained on",
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="How many images to find.")] = 5,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Show them in this new file (.png, .svg or .pdf)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the images that are nearest to IMAGE, by the network of RUN.

    Without --gallery they are those of the data that RUN was trained on. A gallery needs no pairs:
    its images may lie in a folder without sub-folders, or be of one class. The first search embeds
    them and keeps the result in RUN (gallery.npz); what was in a folder then is what is searched,
    until that file is removed. Needs the extra `lossmith[search]`.

    **Examples**

        lossmith search runs/digits a.png --k 10 --picture nearest.png

        lossmith search runs/photos one.jpg --gallery archive/ --json

        lossmith search runs/photos one.jpg --gallery photos/cat
    """
    with plain_errors():
        with start_up():
            from lossmith_cli.search import search_images

        search_images(run, query, gallery, k, picture, as_json)


@app.command("list")
def list_losses(as_json: AsJson = False) -> None:
    """Show the losses with their hyperparameters, the ranges and the defaults.

    Those of pair labels and of class ids can train a network here (--loss); all of them work in
    model.compile(loss=...).

    **Example**

        lossmith list --json
    """
    with plain_errors():
        with start_up():
            from lossmith_cli.catalogue import show_losses

        show_losses(as_json)


app.command()(check)
