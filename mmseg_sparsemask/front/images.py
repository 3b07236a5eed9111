"""Features of training images that the supernet has not seen, computed once and kept."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.registry import DATASETS, MODELS
from torch import Tensor
from tqdm import tqdm

from mmseg_sparsemask.dpc.cache import fingerprint_key, seeded, weights_digest
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.utils.files import replacing


class Images(NamedTuple):
    """What decoders are scored on.

    Attributes:
        features: ``E1`` .. ``EL`` of all images, item i (N, C_i, h_i, w_i).
        labels: (N, H, W), at the size of the images.
    """

    features: list[Tensor]
    labels: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images in pixels."""
        height, width = self.labels.shape[-2:]
        return height, width

    def halves(self) -> list[Images]:
        """The first and the last half of them, at least two images each."""
        middle = len(self.labels) // 2
        return [
            Images([f[part] for f in self.features], self.labels[part])
            for part in (slice(middle), slice(middle, None))
        ]


def held_back_images(search: Search, config: str | Path, count: int, folder: Path) -> Images:
    """Encoder features of training images that are held back, from the cache if they are there.

    Args:
        search: Its encoder's weights and its supernet.
        config: The search's. The data set's ``indices`` say on which images it was trained; of
            all others the first count. Without ``indices`` the last images of the data set count,
            which the supernet has seen.
        count: Number of images, at least 4.
        folder: Where the cache is.

    Raises:
        ValueError: Fewer than four images, images of several sizes, or data that is not there.
    """
    if count < 4:
        raise ValueError(f'images: expected at least 4 to score decoders on, got {count}')
    cfg = Config.fromfile(config)
    model = MODELS.build(_without_weights(cfg.model)).eval()
    encoder = {n: v for n, v in search.state.items() if not n.startswith(search.prefix)}
    missing = set(model.state_dict()) - set(encoder)
    if missing := sorted(n for n in missing if not n.startswith(search.prefix)):
        raise ValueError(f'{config}: the checkpoint holds no {missing[0]}; give its own config')
    model.load_state_dict(encoder, strict=False)
    settings = copy.deepcopy(cfg.train_dataloader.dataset)
    trained_on = settings.pop('indices', None)
    try:
        dataset = DATASETS.build(settings)
    except OSError as error:
        raise ValueError(f'the training images are not here: {error}') from None
    places = _held_back(len(dataset), trained_on)[:count] if trained_on else []
    if not places:
        places = list(range(max(0, len(dataset) - count), len(dataset)))
        print_log(
            f'the supernet was trained on all images; its parts are scored on the last '
            f'{len(places)} of them (train_dataloader.dataset.indices holds images back)',
            'current',
        )
    known = [weights_digest(model.backbone), settings.to_dict(), cfg.model.data_preprocessor]
    path = folder / f'features_{fingerprint_key({"of": [*known, places]})}.pt'
    if path.is_file():
        kept = torch.load(path, weights_only=True)
        return Images(kept['features'], kept['labels'])
    images = _computed(model, dataset, places, search.head.in_index)
    with replacing(path) as temporary:
        torch.save(images._asdict(), temporary)
    return images


@torch.no_grad()
def _computed(
    model: torch.nn.Module, dataset: Any, places: Sequence[int], in_index: Sequence[int]
) -> Images:
    features, labels = [], []
    for place in tqdm(places, desc='encoder features'):
        with seeded(0, place):
            item = dataset[place]
        batch = {'inputs': [item['inputs']], 'data_samples': [item['data_samples']]}
        batch = model.data_preprocessor(batch, training=True)
        given = model.extract_feat(batch['inputs'])
        features.append([given[index] for index in in_index])
        labels.append(batch['data_samples'][0].gt_sem_seg.data)
    sizes = {tuple(label.shape[-2:]) for label in labels}
    if len(sizes) > 1:
        raise ValueError(
            f'expected training images of one size, got {sorted(sizes)}; let the pipeline or '
            'data_preprocessor.size crop or pad them'
        )
    return Images([torch.cat(level) for level in zip(*features)], torch.cat(labels))


def _held_back(length: int, trained_on: int | Sequence[int]) -> list[int]:
    seen = range(trained_on) if isinstance(trained_on, int) else trained_on
    return sorted(set(range(length)) - {place % length for place in seen})


def _without_weights(settings: Any) -> Any:
    """A model's config in which nothing fetches or reads weights."""
    if isinstance(settings, Mapping):
        changed = {'init_cfg': None, 'pretrained': False}
        return {
            key: changed[key] if changed.get(key, value) != value else _without_weights(value)
            for key, value in settings.items()
        }
    if isinstance(settings, (list, tuple)):
        return [_without_weights(item) for item in settings]
    return settings
