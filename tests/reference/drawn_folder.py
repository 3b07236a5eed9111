"""Folders of drawn images and index masks, as a user would bring them."""

import cv2
import numpy as np

from mmseg_sparsemask.datasets.scene import draw_scene

#: An encoder of its own for --encoder: small, from scratch.
SMALL_ENCODER = """
model = dict(
    backbone=dict(
        type='FeatureTaps',
        backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
        features=['relu', 'layer1', 'layer2', 'layer3', 'layer4'],
    )
)
"""


def draw_folder(folder, count=24, size=(64, 64)):
    """Write ``images`` and ``masks`` below a folder; return both."""
    places = folder / 'images', folder / 'masks'
    for place in places:
        place.mkdir(parents=True)
    for number in range(count):
        scene = draw_scene(np.random.default_rng(number), size)
        cv2.imwrite(str(places[0] / f'{number:03}.png'), scene.image[..., ::-1])
        cv2.imwrite(str(places[1] / f'{number:03}.png'), scene.labels)
    return places
