"""A dense prediction cell computed branch by branch with loops, from the text of the paper.

Shares no code with the package: weights come as plain arrays, convolutions are sums of shifted
slices, pooling and bilinear interpolation are written out. Everything in float64.
"""

import numpy as np


def bilinear(x, size, align_corners):
    """Resize (C, h, w) to (C, *size)."""

    def weights(old, new):
        matrix = np.zeros((new, old))
        for i in range(new):
            if align_corners:
                at = 0.0 if new == 1 else i * (old - 1) / (new - 1)
            else:
                at = max((i + 0.5) * old / new - 0.5, 0.0)
            low = min(int(at), old - 1)
            high = min(low + 1, old - 1)
            matrix[i, low] += 1 - (at - low)
            matrix[i, high] += at - low
        return matrix

    rows, columns = weights(x.shape[1], size[0]), weights(x.shape[2], size[1])
    return np.einsum('ih,chw,jw->cij', rows, x, columns)


def norm_relu(x, norm):
    mean, var, weight, bias, eps = norm
    shape = (-1, 1, 1)
    x = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    return np.maximum(x * weight.reshape(shape) + bias.reshape(shape), 0)


def conv1x1(x, weight):
    return np.einsum('oi,ihw->ohw', weight[:, :, 0, 0], x)


def depthwise(x, weight, rate):
    """A 3x3 depthwise convolution, zero outside."""
    channels, height, width = x.shape
    out = np.zeros_like(x)
    for row in range(height):
        for column in range(width):
            for i in range(3):
                for j in range(3):
                    r, c = row + (i - 1) * rate[0], column + (j - 1) * rate[1]
                    if 0 <= r < height and 0 <= c < width:
                        out[:, row, column] += weight[:, 0, i, j] * x[:, r, c]
    return out


def pool_grid(x, grid):
    """The mean of each grid cell; cells overlap where the size is no multiple of the grid."""
    channels, height, width = x.shape
    out = np.zeros((channels, *grid))
    for i in range(grid[0]):
        top, bottom = i * height // grid[0], -(-(i + 1) * height // grid[0])
        for j in range(grid[1]):
            left, right = j * width // grid[1], -(-(j + 1) * width // grid[1])
            out[:, i, j] = x[:, top:bottom, left:right].mean(axis=(1, 2))
    return out


def pool_window(x, grid):
    """The mean of every window of the size of a grid cell that fits."""
    channels, height, width = x.shape
    kh, kw = max(1, height // grid[0]), max(1, width // grid[1])
    out = np.zeros((channels, height - kh + 1, width - kw + 1))
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            out[:, i, j] = x[:, i : i + kh, j : j + kw].mean(axis=(1, 2))
    return out


def run_cell(x, published, params, stride=16, pooling='grid', align_corners=True):
    """The concatenation of all branches.

    Args:
        x: (C, H, W), float64.
        published: the cell in the list form of the published code.
        params: per branch a list of (weight, norm): two for a separable convolution, else one.
        stride: output stride of ``x``.
        pooling: 'grid' or 'window'.
        align_corners: of the resize after a pooling.
    """
    outputs = []
    for item, weights in zip(published, params):
        source = x if item['input'] == -1 else outputs[item['input']]
        if item['op'] == 'pyramid_pooling':
            pooled = (pool_grid if pooling == 'grid' else pool_window)(source, item['grid_size'])
            ((weight, norm),) = weights
            out = bilinear(norm_relu(conv1x1(pooled, weight), norm), x.shape[1:], align_corners)
        elif item['kernel'] == 1:
            ((weight, norm),) = weights
            out = norm_relu(conv1x1(source, weight), norm)
        else:
            (first, norm1), (second, norm2) = weights
            rate = [r * 16 // stride for r in item['rate']]
            out = norm_relu(depthwise(source, first, rate), norm1)
            out = norm_relu(conv1x1(out, second), norm2)
        outputs.append(out)
    return np.concatenate(outputs)
