#!/usr/bin/env python
"""Writes configs/*/metafile.yml from the configs and from what results/ says was measured.

    python .ci/metafiles.py            # write
    python .ci/metafiles.py --check    # say what is not current

A config's results are the rows of results/*.csv that name it (one entry for each method and
training, the mean over the seeds).
"""

import csv
import statistics
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
SPARSEMASK = {
    'Title': 'SparseMask: Differentiable Connectivity Learning for Dense Image Prediction',
    'URL': 'https://arxiv.org/abs/1904.07642',
}
CELLS = {
    'Title': 'Searching for Efficient Multi-Scale Architectures for Dense Image Prediction',
    'URL': 'https://arxiv.org/abs/1809.04184',
}
#: Folder: name of the collection, paper, page, task.
COLLECTIONS = {
    'dpc': ('DPC', CELLS, 'configs/dpc/README.md', 'Semantic Segmentation'),
    'edge': (
        'SparseMask for boundaries',
        SPARSEMASK,
        'docs/saliency_and_edges.md',
        'Edge Detection',
    ),
    'saliency': (
        'SparseMask for salient objects',
        SPARSEMASK,
        'docs/saliency_and_edges.md',
        'Salient Object Detection',
    ),
    'sparsemask': (
        'SparseMask',
        SPARSEMASK,
        'configs/sparsemask/README.md',
        'Semantic Segmentation',
    ),
}
#: What the third part of a config's name begins with: the data set.
DATA = {
    'ade20k': 'ADE20K',
    'bsds500': 'BSDS500',
    'camvid': 'CamVid',
    'cityscapes': 'Cityscapes',
    'coco': 'COCO',
    'msra_b': 'MSRA-B',
    'person_part': 'PASCAL-Person-Part',
    'sbd': 'SBD',
    'shapes': 'shapes',
    'sod': 'SOD',
    'voc': 'PASCAL VOC 2012',
}
HEADER = """\
# Written by .ci/metafiles.py from the configs and results/. Weights are empty, as none are
# published; the key stands there because MMEngine looks a model up by it.
"""


def table_results(task):
    """Results of every config of configs/ that results/*.csv name: means over the seeds."""
    groups = {}
    for path in sorted((ROOT / 'results').glob('*.csv')):
        with path.open(newline='') as file:
            for row in csv.DictReader(file):
                if not row['config'].startswith('configs/'):
                    continue
                iterations = row['search_iterations'], row['training_iterations']
                key = path.stem, row['config'], row['method'], row['training'], *iterations
                groups.setdefault(key, []).append(row)
    found = {}
    for (stem, config, method, training, search, iterations), rows in groups.items():
        metric = rows[0]['metric']
        score = statistics.fmean(float(row['score_test']) for row in rows)
        seeds = ', '.join(sorted({row['seed'] for row in rows}, key=int))
        steps = f'{iterations} iterations' + (
            f' after a search of {search}' if search != '0' else ''
        )
        result = {
            'Task': task,
            'Dataset': rows[0]['data'],
            'Training': f'results/{stem}.yaml: {method}, {training}, {steps}; seeds {seeds}',
            'Metrics': {metric: round(score, 2 if metric == 'mIoU' else 3)},
        }
        found.setdefault(config.split(' > ')[0], []).append(result)
    return found


def data_set(stem):
    """Name of the data set that a config trains on, from the config's name."""
    part = stem.split('_', 2)[2]
    return next(name for key, name in DATA.items() if part.startswith(key))


def metafile(folder):
    """Text of a folder's metafile."""
    collection, paper, page, task = COLLECTIONS[folder]
    measured = table_results(task)
    models = []
    for path in sorted((ROOT / 'configs' / folder).glob('*.py')):
        config = f'configs/{folder}/{path.name}'
        results = measured.get(config)
        model = {
            'Name': path.stem,
            'In Collection': collection,
            'Config': config,
            'Metadata': {'Training Data': data_set(path.stem)},
            **({'Results': results} if results else {}),
            'Weights': None,
        }
        models.append(model)
    content = {
        'Collections': [{'Name': collection, 'Paper': paper, 'README': page}],
        'Models': models,
    }
    return HEADER + yaml.safe_dump(content, sort_keys=False, width=10**6, allow_unicode=True)


def main():
    """Write the metafiles, or with --check name those that are not current."""
    old = []
    for folder in COLLECTIONS:
        path = ROOT / 'configs' / folder / 'metafile.yml'
        text = metafile(folder)
        if not path.is_file() or path.read_text() != text:
            old.append(path.relative_to(ROOT).as_posix())
            if '--check' not in sys.argv[1:]:
                path.write_text(text)
    if old and '--check' in sys.argv[1:]:
        sys.exit(f'not current: {", ".join(old)}; run python .ci/metafiles.py')


if __name__ == '__main__':
    main()
