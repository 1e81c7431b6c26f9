"""Labelled images to train and evaluate a twin network on, read where they lie.

`load` takes a named data set, a folder with one sub-folder per class or an `.npz` file and gives
`LabelledImages`, which yield float32 images in [0, 1] for the items asked for and split into
training, validation and test parts without a common item.
"""

from lossmith.datasets.files import notes_on_colours, read_image, stretched_from
from lossmith.datasets.images import ArrayImages, ImageFormat, Images
from lossmith.datasets.labelled import LabelledImages, Split
from lossmith.datasets.loading import is_folder, is_named, load, load_gallery

__all__ = [
    "ArrayImages",
    "ImageFormat",
    "Images",
    "LabelledImages",
    "Split",
    "is_folder",
    "is_named",
    "load",
    "load_gallery",
    "notes_on_colours",
    "read_image",
    "stretched_from",
]
