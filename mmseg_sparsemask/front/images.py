"""Features of training images that the supernet has not seen, computed once and kept."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.registry import DATASETS, MODELS
from torch import Tensor
from tqdm import tqdm

from mmseg_sparsemask.datasets.items import files_digest
from mmseg_sparsemask.models.pretrained import without_weights
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.utils.files import replacing
from mmseg_sparsemask.utils.repeatable import encoder_digest, fingerprint_key, seeded

#: Validation images that go through a decoder at once.
BATCH = 16

#: Most training images that decoders are trained on for a while.
CROPS = 300

#: Of an image: its features, its labels (1, H, W), and what the pipeline says of it.
Encoded = tuple[list[Tensor], Tensor, dict[str, Any]]


class Images(NamedTuple):
    """What decoders are scored on.

    Attributes:
        features: ``E1`` .. ``EL`` of all images, item i (N, C_i, h_i, w_i).
        labels: (N, H, W), at the size of the images.
        key: What they are, as sixteen hex digits; scores belong to them.
    """

    features: list[Tensor]
    labels: Tensor
    key: str = ''

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images in pixels."""
        height, width = self.labels.shape[-2:]
        return height, width

    def halves(self) -> list[Images]:
        """The first and the last half of them, at least two images each."""
        middle = len(self.labels) // 2
        return [self.part(slice(middle)), self.part(slice(middle, None))]

    def part(self, places: slice) -> Images:
        """Some of them."""
        return Images([feature[places] for feature in self.features], self.labels[places])


class Network(NamedTuple):
    """The network of a search, with the encoder's weights of its checkpoint.

    Attributes:
        cfg: The search's config.
        model: In evaluation mode; its decoder is not the search's.
        in_index: Which features of the encoder the decoder takes.
    """

    cfg: Config
    model: Any
    in_index: Sequence[int]


def network_of(search: Search, config: str | Path) -> Network:
    """The network of a search.

    Args:
        search: Its encoder's weights and its supernet.
        config: The search's own.

    Raises:
        ValueError: The checkpoint holds no weights of that network's encoder.
    """
    cfg = Config.fromfile(config)
    model = MODELS.build(without_weights(cfg.model)).eval()
    encoder = {n: v for n, v in search.state.items() if not n.startswith(search.prefix)}
    missing = set(model.state_dict()) - set(encoder)
    if missing := sorted(n for n in missing if not n.startswith(search.prefix)):
        raise ValueError(f'{config}: the checkpoint holds no {missing[0]}; give its own config')
    model.load_state_dict(encoder, strict=False)
    return Network(cfg, model, search.head.in_index)


def held_back_images(network: Network, count: int, folder: Path) -> Images:
    """Encoder features of training images that are held back, from the cache if they are there.

    Args:
        network: Of the search. The data set's ``indices`` say on which images it was trained; the
            others count. Without ``indices`` all count, which the supernet has seen.
        count: Number of images, at least 4; they are chosen evenly.
        folder: Where the cache is.

    Raises:
        ValueError: Fewer than four images, images of several sizes, or data that is not there.
    """
    if count < 4:
        raise ValueError(f'images: expected at least 4 to score decoders on, got {count}')
    cfg = network.cfg
    settings = copy.deepcopy(cfg.train_dataloader.dataset)
    trained_on = settings.pop('indices', None)
    dataset = _data(settings, 'training')
    places = _held_back(len(dataset), trained_on) if trained_on is not None else []
    if not places:
        places = list(range(len(dataset)))
        print_log(
            'the supernet was trained on all images; its parts are scored on some of them '
            '(train_dataloader.dataset.indices holds images back)',
            'current',
        )
    places = _evenly(places, count)
    if len(places) < 4:
        raise ValueError(f'expected at least 4 images to score decoders on, got {len(places)}')
    key = _key(network, dataset, settings, places)
    path = folder / f'features_{key}.pt'
    if path.is_file():
        kept = torch.load(path, weights_only=True)
        return Images(kept['features'], kept['labels'], key)
    features, labels = _of_one_size(encoded(network, dataset, places, training=True))
    with replacing(path) as temporary:
        torch.save({'features': features, 'labels': labels}, temporary)
    return Images(features, labels, key)


def training_images(network: Network) -> Images:
    """Encoder features of images that the supernet was trained on, at most `CROPS`, evenly chosen.

    Args:
        network: Of the search.

    Raises:
        ValueError: Images of several sizes, or data that is not there.
    """
    dataset = _data(copy.deepcopy(network.cfg.train_dataloader.dataset), 'training')
    places = _evenly(range(len(dataset)), CROPS)
    # Other crops than those that are scored on, where no images are held back.
    return Images(*_of_one_size(encoded(network, dataset, places, training=True, draw=1)))


def _of_one_size(images: Iterator[Encoded]) -> tuple[list[Tensor], Tensor]:
    """Features and labels of training images in one batch."""
    every = list(images)
    sizes = {tuple(labels.shape[-2:]) for _, labels, _ in every}
    if len(sizes) > 1:
        raise ValueError(
            f'expected training images of one size, got {sorted(sizes)}; let the pipeline or '
            'data_preprocessor.size crop or pad them'
        )
    return _joined(every)


def _joined(images: Sequence[Encoded]) -> tuple[list[Tensor], Tensor]:
    levels = zip(*(features for features, _, _ in images))
    return [torch.cat(level) for level in levels], torch.cat([labels for _, labels, _ in images])


class Validation(NamedTuple):
    """What the network of a search is validated on.

    Attributes:
        network: The segmentor; only what it does to logits counts.
        batches: Features of images of one size, item i (N, C_i, h_i, w_i); labels (N, H, W) at a
            size of their own; what the pipeline says of each image.
        key: What they are, as sixteen hex digits.
    """

    network: Any
    batches: list[tuple[list[Tensor], Tensor, list[dict[str, Any]]]]
    key: str = ''


def validation_images(network: Network, count: int) -> Validation:
    """Encoder features of validation images, evenly chosen.

    Args:
        network: Of the search.
        count: The most images.

    Raises:
        ValueError: The config has no validation, or one by sliding windows; no images there.
    """
    cfg, model, _ = network
    config = cfg.filename
    if cfg.get('val_dataloader') is None:
        raise ValueError(f'{config}: expected a val_dataloader to explain connections on, got none')
    if (mode := cfg.model.get('test_cfg', {}).get('mode', 'whole')) != 'whole':
        raise ValueError(
            f"{config}: expected test_cfg=dict(mode='whole') to explain connections, got {mode!r}"
        )
    settings = copy.deepcopy(cfg.val_dataloader.dataset)
    dataset = _data(settings, 'validation')
    places = _evenly(range(len(dataset)), max(count, 1))
    groups: list[list[Encoded]] = []
    for image in encoded(network, dataset, places, training=False):
        last = groups[-1] if groups else []
        if last and len(last) < BATCH and _sizes(last[0]) == _sizes(image):
            last.append(image)
        else:
            groups.append([image])
    batches = [(*_joined(group), [meta for _, _, meta in group]) for group in groups]
    return Validation(model, batches, _key(network, dataset, settings, places))


def _key(network: Network, dataset: Any, settings: Any, places: Sequence[int]) -> str:
    """The name of encoder features of some images of a data set, which was built by settings."""
    model = network.cfg.model
    stated = [model.backbone, model.get('neck'), model.data_preprocessor, settings]
    digests = [encoder_digest(network.model), files_digest(dataset, places)]
    known = [*digests, *network.in_index, *stated, places]
    return fingerprint_key({'of': known})


def _sizes(image: Encoded) -> list[Any]:
    features, labels, meta = image
    return [features[0].shape, labels.shape, meta.get('pad_shape'), meta['img_shape']]


def _data(settings: Any, kind: str) -> Any:
    try:
        dataset = DATASETS.build(settings)
    except OSError as error:
        raise ValueError(f'the {kind} images are not here: {error}') from None
    if not len(dataset):
        raise ValueError(f'the {kind} images are not here: the data set is empty')
    return dataset


@torch.no_grad()
def encoded(
    network: Network, dataset: Any, places: Sequence[int], training: bool, draw: int = 0
) -> Iterator[Encoded]:
    """Features, labels and what is known of some images of a data set, one after another.

    Args:
        network: Whose encoder computes the features that its decoder takes.
        dataset: As MMSegmentation builds it.
        places: Which of its images.
        training: Whether the images are to be padded as in training.
        draw: What the pipeline draws at random; the same number gives the same images.

    Raises:
        ValueError: An image is not there.
    """
    model = network.model
    for place in tqdm(places, desc='encoder features'):
        try:
            with seeded(draw, place):
                item = dataset[place]
        except OSError as error:
            raise ValueError(f'an image is not here: {error}') from None
        batch = {'inputs': [item['inputs']], 'data_samples': [item['data_samples']]}
        batch = model.data_preprocessor(batch, training=training)
        given, sample = model.extract_feat(batch['inputs']), batch['data_samples'][0]
        features = [given[index] for index in network.in_index]
        yield features, sample.gt_sem_seg.data, sample.metainfo


def _evenly(places: Sequence[int], count: int) -> list[int]:
    """So many of some places, from all over: neighbours may be frames of one video."""
    count = min(count, len(places))
    return [places[number * len(places) // count] for number in range(count)]


def _held_back(length: int, trained_on: int | Sequence[int]) -> list[int]:
    every = range(length)
    if isinstance(trained_on, int):  # as in MMEngine: so many of the first, or of the last
        seen = every[:trained_on] if trained_on >= 0 else every[trained_on:]
        return sorted(set(every) - set(seen))
    return sorted(set(every) - {place % length for place in trained_on})
