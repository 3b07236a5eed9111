"""Write saliency_golden.json: values of PySODMetrics on small maps.

PySODMetrics asks for other NumPy, scikit-image and OpenCV versions than the toolbox, so run this
in an environment of its own:

    python -m venv sod && sod/bin/pip install pysodmetrics
    sod/bin/python tests/saliency/golden/make_saliency_golden.py
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from py_sod_metrics import MAE, Emeasure, FmeasureV2, Smeasure
from py_sod_metrics.fmeasurev2 import FmeasureHandler, PrecisionHandler, RecallHandler


def cases() -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Maps and masks: noise, a good map, off-centre, tiny, full, empty, constant, binary."""
    rng = np.random.default_rng(20)
    y, x = np.mgrid[:20, :26]
    disc = (y - 8) ** 2 + (x - 15) ** 2 < 30
    soft = 255 / (1 + np.exp((np.hypot(y - 9, x - 14) - 6) / 1.5))
    dot = np.zeros_like(disc)
    dot[18, 0] = True  # in the last row the library divides zero by zero
    noise = rng.integers(0, 256, disc.shape)
    out = [
        ('noise', noise, disc),
        ('good', soft, disc),
        ('noisy', 0.7 * soft + 0.3 * noise, disc),
        ('narrow_range', 90 + soft / 10, disc),
        ('dot', soft, dot),
        ('full', noise, np.ones_like(disc)),
        ('empty', noise, np.zeros_like(disc)),
        ('constant', np.full(disc.shape, 77), disc),
        ('binary', 255 * disc, disc),
        ('inverse', 255 * ~disc, disc),
        ('left_edge', 255 - soft, x < 3),
    ]
    return [(name, np.asarray(p).astype(np.uint8), m) for name, p, m in out]


def measure(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict:
    """Every score of the library for a data set of map and mask pairs."""
    f = FmeasureV2(
        metric_handlers={
            'fm': FmeasureHandler(beta=0.3, with_adaptive=True, with_dynamic=True),
            'p': PrecisionHandler(with_adaptive=False, with_dynamic=True),
            'r': RecallHandler(with_adaptive=False, with_dynamic=True),
        }
    )
    mae, s, e = MAE(), Smeasure(), Emeasure()
    for pred, mask in pairs:
        for meter in (f, mae, s, e):
            meter.step(pred=pred, gt=(255 * mask).astype(np.uint8))
    fm, em = f.get_results(), e.get_results()['em']
    return {
        'mae': float(mae.get_results()['mae']),
        's_measure': float(s.get_results()['sm']),
        'adaptive_f': float(fm['fm']['adaptive']),
        'adaptive_e': float(em['adp']),
        # The library orders its 256 levels from 255 down to 0.
        'precision': [round(float(v), 10) for v in fm['p']['dynamic']],
        'recall': [round(float(v), 10) for v in fm['r']['dynamic']],
        'e_curve': [round(float(v), 10) for v in em['curve']],
    }


def main() -> None:
    """Measure each case alone and all of them as one data set."""
    data = cases()
    result = {
        'pysodmetrics': version('pysodmetrics'),
        'cases': [
            {
                'name': name,
                'pred': pred.tolist(),
                'mask': mask.astype(int).tolist(),
                **measure([(pred, mask)]),
            }
            for name, pred, mask in data
        ],
        'all': measure([(pred, mask) for _, pred, mask in data]),
    }
    path = Path(__file__).with_name('saliency_golden.json')
    path.write_text(json.dumps(result, separators=(',', ':')) + '\n')
    print(path, path.stat().st_size, 'bytes')


if __name__ == '__main__':
    main()
