"""Folders of small images and masks, in the forms in which people have them."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {0: (10, 20, 30), 1: (128, 64, 128), 2: (0, 200, 0), 255: (224, 224, 192)}
TABLE = ['sky 10,20,30', 'road,128,64,128', 'tree: 0 200 0']
NAMES = ['sky', 'road', 'tree']


def draw(number, values=(0, 1, 2, 255)):
    """An image (6, 8, 3) and labels (6, 8), of which each occurs."""
    rng = np.random.default_rng(number)
    labels = rng.permutation(np.resize(values, 48)).reshape(6, 8).astype(np.uint8)
    return rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), labels


def in_colour(labels, colours=COLOURS):
    out = np.zeros((*labels.shape, 3), np.uint8)
    for label, colour in colours.items():
        out[labels == label] = colour
    return Image.fromarray(out)


def with_palette(labels, order=tuple(COLOURS)):
    """Numbers that stand for the labels by their colours alone, unless the order is theirs."""
    image = Image.fromarray(labels)
    palette = np.zeros((256, 3), np.uint8)
    numbers = labels.copy()
    for number, label in enumerate(order):
        number = label if order == tuple(COLOURS) else number
        palette[number] = COLOURS[label]
        numbers[labels == label] = number
    image = Image.fromarray(numbers)
    image.putpalette(palette.tobytes())
    return image


class Folders:
    """``images`` and ``masks`` below a folder, and what was drawn."""

    def __init__(self, root: Path, values=(0, 1, 2, 255)):
        self.root, self.values, self.drawn = root, values, {}
        self.images, self.masks, self.out = (root / name for name in ('images', 'masks', 'out'))
        self.images.mkdir()
        self.masks.mkdir()

    def add(self, names, mask='{}.png', image='{}.png', form=Image.fromarray):
        """Write images of these names; the masks in a form that is made of labels."""
        for name in names:
            picture, labels = draw(len(self.drawn), self.values)
            path, mask_path = self.images / image.format(name), self.masks / mask.format(name)
            for folder in (path.parent, mask_path.parent):
                folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
            form(labels).save(mask_path)
            self.drawn[str(path)] = picture, labels
        return self

    def files(self):
        """Content of all files of the user's, by path."""
        kept = [p for folder in (self.images, self.masks) for p in sorted(folder.rglob('*'))]
        return {path: path.read_bytes() for path in kept if path.is_file()}
