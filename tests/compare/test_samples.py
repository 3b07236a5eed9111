"""Pictures of predictions."""

import numpy as np

from mmseg_sparsemask.compare.samples import GAP, side_by_side


def test_image_labels_and_prediction_stand_side_by_side():
    numbers = np.random.default_rng(0)
    image = numbers.integers(256, size=(64, 96, 3), dtype=np.uint8)
    labels, predicted = numbers.integers(3, size=(2, 64, 96), dtype=np.uint8)
    palette = numbers.integers(256, size=(256, 3), dtype=np.uint8)
    picture = side_by_side(image, labels, predicted, palette)
    assert picture.shape == (4 * 64, 4 * (3 * 96 + 2 * GAP), 3)
    first, second, third = (picture[::4, ::4][:, k * (96 + GAP) :][:, :96] for k in range(3))
    np.testing.assert_array_equal(first, image)
    # Palettes are RGB, pictures BGR.
    np.testing.assert_array_equal(second[..., ::-1], palette[labels])
    np.testing.assert_array_equal(third[..., ::-1], palette[predicted])
    small = side_by_side(image, labels[::2, ::2], predicted[::2, ::2], palette)
    assert small.shape == (8 * 32, 8 * (3 * 48 + 2 * GAP), 3)
