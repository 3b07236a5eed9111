"""Write nms_golden.npz: suppression of small maps by OpenCV contrib's structured edge detection.

OpenCV contrib replaces the OpenCV that MMSegmentation needs, so run this in an environment of its
own:

    python -m venv contrib && contrib/bin/pip install opencv-contrib-python-headless
    contrib/bin/python tests/edges/golden/make_nms_golden.py
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np

# A forest of one tree that is a single leaf: createStructuredEdgeDetection wants a model file, but
# neither computeOrientation nor edgesNms uses more of it than the smoothing radius 4.
MODEL = """%YAML:1.0
---
options:
   stride: 2
   shrinkNumber: 2
   patchSize: 32
   patchInnerSize: 16
   numberOfGradientOrientations: 4
   gradientSmoothingRadius: 0
   regFeatureSmoothingRadius: 2
   ssFeatureSmoothingRadius: 8
   gradientNormalizationRadius: 4
   selfsimilarityGridSize: 5
   numberOfTrees: 1
   numberOfTreesToEvaluate: 1
childs:
   - [0]
featureIds:
   - [0]
thresholds:
   - [0.]
edgeBoundaries:
   - [0, 0]
edgeBins:
   - [0]
"""


def maps() -> list[np.ndarray]:
    """Soft maps (40, 61): blurred noise of three widths, and plateaus as of a sigmoid."""
    found = []
    for seed in range(4):
        noise = np.random.default_rng(seed).random((40, 61)).astype(np.float32)
        edges = cv2.GaussianBlur(noise, (0, 0), 1 + seed / 2)
        edges = np.clip((edges - edges.mean()) / (edges.max() - edges.mean()), 0, 1)
        found.append(np.round(edges * 4) / 4 if seed == 3 else edges)
    return found


def main() -> None:
    """Orientation of each map, and the map thinned with several settings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'leaf.yml'
        path.write_text(MODEL)
        detector = cv2.ximgproc.createStructuredEdgeDetection(str(path))
    result = {'opencv': np.array(cv2.__version__)}
    for case, edges in enumerate(maps()):
        orientation = detector.computeOrientation(edges)
        result[f'edges_{case}'], result[f'orientation_{case}'] = edges, orientation
        for radius, border in [(1, 5), (1, 0), (2, 3), (3, 30)]:
            thinned = detector.edgesNms(edges, orientation, r=radius, s=border, m=1.01)
            result[f'thinned_{case}_{radius}_{border}'] = thinned
    target = Path(__file__).with_name('nms_golden.npz')
    np.savez_compressed(target, **result)
    print(target, target.stat().st_size, 'bytes, OpenCV', cv2.__version__)


if __name__ == '__main__':
    main()
