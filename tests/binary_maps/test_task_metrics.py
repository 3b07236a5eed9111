"""EdgeMetric and SaliencyMetric in the toolbox's loop, in one and in two processes."""

import json
import os

import cv2
import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.registry import init_default_scope
from mmseg.registry import METRICS

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.edges.scores import default_thresholds, evaluate_image, summarise
from mmseg_sparsemask.edges.workers import WorkerPool, gather
from mmseg_sparsemask.saliency import scores as saliency

N = 5


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def edge_sample(index):
    rng = np.random.default_rng(index)
    truth = (rng.random((2, 24, 32)) < 0.05).astype(np.uint8)
    prob = np.clip(truth.max(0) * 0.3 + rng.random((24, 32)) * 0.7, 0, 1).astype(np.float32)
    return dict(
        img_path=f'somewhere/{index}.jpg',
        seg_logits=dict(data=torch.from_numpy(prob)[None]),
        gt_boundaries=truth,
    )


def saliency_sample(index):
    rng = np.random.default_rng(index)
    mask = np.zeros((24, 32), np.int64)
    mask[4 : 10 + index, 5:20] = 1
    prob = np.clip(mask * 0.6 + rng.random((24, 32)) * 0.4, 0, 1).astype(np.float32)
    return dict(
        img_path=f'{index}.png',
        seg_logits=dict(data=torch.from_numpy(prob)[None]),
        gt_sem_seg=dict(data=torch.from_numpy(mask)[None]),
    )


EDGE = dict(type='EdgeMetric', thresholds=9, max_dist=0.05, nms=False, num_workers=0)
SALIENCY = dict(type='SaliencyMetric')


def run(cfg, samples):
    metric = METRICS.build(cfg)
    metric.dataset_meta = dict(classes=('background', 'edge'))
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


def test_edge_metric_is_the_pure_function():
    samples = [edge_sample(i) for i in range(N)]
    got = run(EDGE, samples)
    thresholds = default_thresholds(9)
    want = summarise(
        [
            evaluate_image(
                s['seg_logits']['data'][0].numpy(), list(s['gt_boundaries']), thresholds, 0.05
            )
            for s in samples
        ],
        thresholds,
    )
    assert got['edge/ODS'] == want.ods and got['edge/OIS'] == want.ois
    assert got['edge/AP'] == want.ap and got['edge/R50'] == want.r50
    assert 0.3 < want.ods < 1
    # Plain numbers: anything else spoils checkpoints.
    assert all(type(value) is float for value in got.values())


def test_saliency_metric_is_the_pure_function():
    samples = [saliency_sample(i) for i in range(N)]
    got = run(SALIENCY, samples)
    want = saliency.summarise(
        [
            saliency.score_image(
                saliency.to_uint8(s['seg_logits']['data'][0].numpy()),
                s['gt_sem_seg']['data'][0].numpy() == 1,
            )
            for s in samples
        ]
    )
    assert got == {f'saliency/{key}': value for key, value in want.items()}
    assert all(type(value) is float for value in got.values())


def test_processes_beside_the_caller_change_nothing(capsys):
    samples = [edge_sample(i) for i in range(3)]
    assert run({**EDGE, 'num_workers': 2}, samples) == run(EDGE, samples)


def test_a_process_that_dies_says_what_to_look_for():
    pool = WorkerPool(1)
    try:
        with pytest.raises(RuntimeError, match='num_workers=0'):
            gather([pool.submit(os._exit, 1)], progress=False)
        with pytest.raises(RuntimeError, match='num_workers=0'):
            pool.submit(os._exit, 1)
    finally:
        pool.close()


def _rank(rank, size, folder):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=size
    )
    init_default_scope('mmseg')
    out = {}
    for name, cfg, make in (('edge', EDGE, edge_sample), ('saliency', SALIENCY, saliency_sample)):
        metric = METRICS.build(cfg)
        # As the toolbox's sampler deals an odd number: the first image comes again as padding.
        for index in [i % N for i in range(rank, N + N % size, size)]:
            metric.process({}, [make(index)])
        out[name] = metric.evaluate(N)
    (folder / f'{rank}.json').write_text(json.dumps(out))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_numbers_of_one(tmp_path):
    mp.start_processes(_rank, (2, tmp_path), nprocs=2, start_method='fork')
    for rank in range(2):
        got = json.loads((tmp_path / f'{rank}.json').read_text())
        assert got['edge'] == run(EDGE, [edge_sample(i) for i in range(N)])
        assert got['saliency'] == run(SALIENCY, [saliency_sample(i) for i in range(N)])


def test_maps_and_report_are_written(tmp_path):
    samples = [edge_sample(i) for i in range(2)]
    out = dict(output_dir=str(tmp_path / 'maps'), keep_results=True)
    with_files = run({**EDGE, **out, 'report_dir': str(tmp_path / 'report')}, samples)
    for sample in samples:
        name = sample['img_path'].split('/')[-1][:-4]
        grey = cv2.imread(str(tmp_path / 'maps' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        prob = sample['seg_logits']['data'][0].numpy()
        np.testing.assert_array_equal(grey, np.rint(prob * 255))
    report = tmp_path / 'report'
    scores = json.loads((report / 'scores.json').read_text())
    assert scores == {key.split('/')[1]: value for key, value in with_files.items()}
    rows = (report / 'thresholds.csv').read_text().splitlines()
    assert rows[0] == 'threshold,recall,precision,f' and len(rows) == 10
    rows = (report / 'images.csv').read_text().splitlines()
    assert [row.split(',')[0] for row in rows] == ['image', '0', '1']
    assert sorted(p.name for p in report.iterdir()) == [
        'images.csv',
        'precision_recall.svg',
        'scores.json',
        'thresholds.csv',
    ]


def test_saliency_maps_give_the_same_scores_from_disk(tmp_path):
    samples = [saliency_sample(i) for i in range(2)]
    got = run({**SALIENCY, 'output_dir': str(tmp_path)}, samples)
    images = [
        saliency.score_image(
            cv2.imread(str(tmp_path / f'{i}.png'), cv2.IMREAD_UNCHANGED),
            s['gt_sem_seg']['data'][0].numpy() == 1,
        )
        for i, s in enumerate(samples)
    ]
    assert got == {f'saliency/{k}': v for k, v in saliency.summarise(images).items()}


def test_a_map_is_rounded_for_the_file_as_for_the_scores(tmp_path):
    """Halfway between two grey levels the product in float32 is another than in float64."""
    halfway = ((np.arange(255) + 0.5) / 255).astype(np.float32)
    near = [np.nextafter(halfway, np.float32(side)) for side in (0, 1)]
    prob = np.stack([halfway, *near])
    sample = {**saliency_sample(0), 'seg_logits': dict(data=torch.from_numpy(prob)[None])}
    run({**SALIENCY, 'format_only': True, 'output_dir': str(tmp_path)}, [sample])
    grey = cv2.imread(str(tmp_path / '0.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(grey, saliency.to_uint8(prob))


def test_a_map_that_holds_no_numbers_is_not_written(tmp_path):
    sample = {**edge_sample(0), 'seg_logits': dict(data=torch.full((1, 24, 32), torch.nan))}
    with pytest.raises(ValueError, match=r'^0: .* must lie in \[0, 1\], got \[nan, nan\]'):
        run({**EDGE, 'format_only': True, 'output_dir': str(tmp_path)}, [sample])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('cfg, make', [(EDGE, edge_sample), (SALIENCY, saliency_sample)])
def test_an_image_twice_or_of_several_channels(cfg, make):
    with pytest.raises(ValueError, match='evaluated twice, for example 1'):
        run(cfg, [make(0), make(1), make(1)])
    with pytest.raises(ValueError, match='out_channels=1'):
        run(cfg, [{**make(0), 'seg_logits': dict(data=torch.zeros(2, 24, 32))}])


@pytest.mark.parametrize('cfg, make', [(EDGE, edge_sample), (SALIENCY, saliency_sample)])
def test_format_only_scores_nothing(tmp_path, cfg, make):
    assert run({**cfg, 'format_only': True, 'output_dir': str(tmp_path)}, [make(0)]) == {}
    assert (tmp_path / '0.png').is_file()
    with pytest.raises(ValueError, match='output_dir'):
        METRICS.build({**cfg, 'format_only': True})


def test_wrong_annotations():
    sample = edge_sample(0)
    del sample['gt_boundaries']
    with pytest.raises(ValueError, match='PackSegInputs.meta_keys'):
        run(EDGE, [sample])
    with pytest.raises(ValueError, match=r'0: prediction is \(24, 32\), an annotation \(32, 24\)'):
        run(EDGE, [{**edge_sample(0), 'gt_boundaries': np.zeros((1, 32, 24))}])
    sample = saliency_sample(0)
    del sample['gt_sem_seg']
    with pytest.raises(ValueError, match='0: gt_sem_seg is missing; .*format_only=True'):
        run(SALIENCY, [sample])
    sample = saliency_sample(0)
    sample['gt_sem_seg']['data'][0, 0, 0] = 255
    with pytest.raises(ValueError, match='LoadSaliencyMask'):
        run(SALIENCY, [sample])
    sample = {**saliency_sample(0), 'gt_sem_seg': dict(data=torch.zeros(1, 9, 9))}
    with pytest.raises(ValueError, match='resize the prediction'):
        run(SALIENCY, [sample])


def test_wrong_settings():
    with pytest.raises(ValueError, match='share of the diagonal'):
        METRICS.build(dict(type='EdgeMetric', max_dist=4.3))
    with pytest.raises(ValueError, match='border must be a whole number, at least 0, got -1'):
        METRICS.build(dict(type='EdgeMetric', border=-1))
    with pytest.raises(ValueError, match='thresholds must be'):
        METRICS.build(dict(type='EdgeMetric', thresholds=0))
    with pytest.raises(ValueError, match='number of processes'):
        METRICS.build(dict(type='EdgeMetric', num_workers=-1))


@pytest.mark.parametrize('cfg, make', [(EDGE, edge_sample), (SALIENCY, saliency_sample)])
def test_joined_data_sets_may_share_names_unless_maps_are_written(cfg, make, tmp_path):
    samples = [make(0), {**make(1), 'img_path': 'elsewhere/0.jpg'}]
    assert run(cfg, samples) == run(cfg, [make(0), make(1)])
    with pytest.raises(ValueError, match='1 maps were written twice, for example 0; .* one by one'):
        run({**cfg, 'output_dir': str(tmp_path)}, samples)
