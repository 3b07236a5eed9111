"""How a decoder starts: what each connection brings and how fast it learns, drawn and balanced.

    python benchmarks/start_scales.py CONFIG --out FIGURE.svg --cfg-options KEY=VALUE

One batch of the config's training data goes through the network twice: with the decoder as it is
drawn, and with the same decoder in balance. The upper panel has the standard deviation of what each
connection gives, the lower one the norm of its weights' gradient over the norm of the weights.
"""

from __future__ import annotations

import argparse
import copy
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.utils.figures import new_figure, save_figure

#: (source, stage): deviation of what the connection gives, gradient over weights.
Scales = dict[tuple[str, str], tuple[float, float]]


def measure(model: EncoderDecoder, batch: Any) -> Scales:
    """Scales in one pass in training, forward and backward."""
    head, rows = model.decode_head, {}
    start = head.start

    def noting(source: str, positions: Tensor) -> None:
        start(source, positions)
        rows[source] = positions.detach()

    head.start = noting
    data = model.data_preprocessor(batch, training=True)
    losses = model(**data, mode='loss')
    model.parse_losses(losses)[0].backward()
    found = {}
    for stage, sources in head.stages.items():
        for source in sources:
            weight = head.convs[stage][source]
            given = rows[source] @ weight.detach().flatten(1).T
            deviation = given.var(0, correction=0).mean().sqrt()
            found[source, stage] = (
                float(deviation),
                float(weight.grad.norm() / weight.detach().norm()),
            )
    return found


def draw(drawn: Scales, balanced: Scales) -> Any:
    """Both starts side by side; a point is a connection, at the stage that takes it."""
    figure = new_figure(8, 6)
    stages = list(dict.fromkeys(stage for _, stage in drawn))
    labels = ('deviation of what it gives', 'gradient over weights (norms)')
    for row, label in enumerate(labels):
        for column, (title, scales) in enumerate({'as drawn': drawn, 'balanced': balanced}.items()):
            axes = figure.add_subplot(2, 2, 2 * row + column + 1)
            for kind, marker, colour in (('E', 'o', '#3b6ea5'), ('D', 's', '#c8553d')):
                points = [
                    (stages.index(stage), values[row])
                    for (source, stage), values in scales.items()
                    if (source[0] == 'D') == (kind == 'D')
                ]
                name = 'from a decoder stage' if kind == 'D' else 'from the encoder'
                axes.plot(*zip(*points), marker, color=colour, label=name)
            axes.set_yscale('log')
            both = [values[row] for one in (drawn, balanced) for values in one.values()]
            axes.set_ylim(min(both) / 2, max(both) * 2)
            axes.set_xticks(range(len(stages)), stages)
            axes.set_title(title if row == 0 else '')
            axes.set_ylabel(label if column == 0 else '')
            axes.grid(alpha=0.3)
            if row == column == 0:
                axes.legend(fontsize='small')
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config with a SparseMaskHead')
    parser.add_argument('--out', required=True, help='figure to write')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope('mmseg')
    set_random_seed(0)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))
    cfg.model.decode_head.balanced = True
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    as_drawn = copy.deepcopy(model)
    as_drawn.decode_head._starting = False
    starts = {'as drawn': measure(as_drawn, batch), 'balanced': measure(model, batch)}
    for title, scales in starts.items():
        for connection, (deviation, ratio) in scales.items():
            print(f'{title}: {" -> ".join(connection)} gives {deviation:.3g}, learns {ratio:.2g}')
    save_figure(draw(*starts.values()), args.out)
    print(f'written: {args.out}')


if __name__ == '__main__':
    main()
