"""Watches a search and writes its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop
from mmseg.registry import HOOKS

from mmseg_sparsemask.connectivity import Connection
from mmseg_sparsemask.connectivity.draw import draw_weights
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.run_state import take_up_run
from mmseg_sparsemask.search.budget_record import check_budgets, log_budgets
from mmseg_sparsemask.search.derived import check_configs
from mmseg_sparsemask.search.finish import RESULTS, finish
from mmseg_sparsemask.search.record import SCORES_KEY, PruneSettings, Search, WeightHistory
from mmseg_sparsemask.search.saved_search import SEARCH_KEY, describe_search
from mmseg_sparsemask.search.supernet import (
    PruneStatus,
    find_supernet,
    prune_status,
)
from mmseg_sparsemask.search.validation import compare, main_score
from mmseg_sparsemask.utils.figures import figure_to_array
from mmseg_sparsemask.utils.files import check_work_dir
from mmseg_sparsemask.utils.runner import trained_model
from mmseg_sparsemask.utils.tool_command import tool_command
from mmseg_sparsemask.utils.work_dir import keep_earlier


@HOOKS.register_module()
class PruneHook(Hook):
    """Logs what pruning would give during a search, prunes at its end, and writes the result.

    While training, every `interval` iterations: the number of live connections, the largest weight
    that would be dropped, the smallest that would be kept and the decoder's parameters go to the
    log and the visualiser; every `image_interval`, the heat map of the weights.

    After training, in the work directory: ``connectivity.json``, ``connectivity.svg`` (the graph),
    ``connection_weights.svg`` (the weights over time), ``pruned.pth`` (the network with the pruned
    decoder and the supernet's weights), ``finetune.py`` to train that further, ``retrain.py`` to
    train the decoder from scratch, ``report.html`` to look at all of it; and tables in the log.
    With an `EMAHook` all of it is about the averaged weights, which are validated and saved, too.
    The files of an earlier search that is not resumed, and its ``front/``, go to a folder
    ``earlier/`` before training starts.

    If a loss of the supernet asks for a budget (`BudgetLoss`), the decoder is cut to it, and the
    log, the visualiser and ``budget.svg`` show what pruning would have cost over the search.

    Args:
        threshold: Sigma: connections of smaller weight are dropped. In (0, 1).
        merge: Also merge stages with equal inputs and drop subsumed ones.
        retrain_config: Config that retrain.py inherits, in a config
            ``'{{ fileDirname }}/sparsemask_mbv2_voc.py'``; None writes no retrain.py.
        finetune_config: Config that finetune.py inherits with its schedule as it is. None takes
            the retrain config and a part of its iterations and learning rate.
        validate: At the end, run the validation on the pruned network, and on the supernet unless
            that was just done, and show the scores side by side. Without a validation loop there
            is nothing to run.
        interval: Iterations between checks.
        image_interval: Iterations between heat maps in the visualiser; 0 for none.
        stop_after: Stop training once this many checks in a row found the weights separated and
            the same number of live connections; None never stops early.
        separation: The weights are separated when the smallest kept is at least this many times
            the largest dropped.

    Raises:
        ValueError: An argument out of its range; the model has no FDNHead; a config that cannot be
            used for retrain.py or finetune.py; the work directory cannot be written; a budget that
            counts with another threshold. All before training starts.
    """

    # After the EMAHook (NORMAL), whose average it reads; before the LoggerHook (BELOW_NORMAL),
    # which shows its numbers.
    priority = 55

    def __init__(
        self,
        threshold: float = 1e-3,
        merge: bool = False,
        retrain_config: str | None = None,
        finetune_config: str | None = None,
        validate: bool = True,
        interval: int = 100,
        image_interval: int = 500,
        stop_after: int | None = None,
        separation: float = 20.0,
    ) -> None:
        self.settings = PruneSettings(threshold, merge, retrain_config, finetune_config)
        if interval < 1:
            raise ValueError(f'interval: expected at least 1 iteration, got {interval}')
        if image_interval < 0:
            raise ValueError(
                f'image_interval: expected 0 (none) or more iterations, got {image_interval}'
            )
        if not separation >= 1:
            raise ValueError(f'separation: expected a factor of at least 1, got {separation}')
        if stop_after is not None and stop_after < 1:
            raise ValueError(f'stop_after: expected None or at least 1 check, got {stop_after}')
        self.validate = validate
        self.interval = interval
        self.image_interval = image_interval
        self.stop_after = stop_after
        self.separation = separation
        self._validated: tuple[int, dict[str, float]] | None = None
        self._last_live = -1
        self._steady_checks = 0

    def before_train(self, runner: Any) -> None:
        """Check what the end will need, and take up the history of a resumed run."""
        take_up_run(runner)
        head = find_supernet(trained_model(runner))
        check_budgets(head, self.settings.threshold)
        check_work_dir(runner.work_dir)
        check_configs(head, self.settings, runner.work_dir)
        if runner.iter == 0 and is_main_process():
            kept = keep_earlier(runner.work_dir, (*RESULTS, 'front'))
            if kept is not None:
                runner.logger.info(f'the results of an earlier search were moved to {kept}')
        history = WeightHistory.of(runner.message_hub.runtime_info)
        if not history.steps:
            self._record(runner, 0)
        self._last_live, self._steady_checks = -1, 0
        connections = list(head.connection_weights())
        for step, record in zip(history.steps, history.weights):
            if step and step % self.interval == 0:
                self._count_check(self._status(head, dict(zip(connections, record))))
                if self._converged():
                    # The search had stopped before: nothing is trained any further.
                    _end_at(runner.train_loop, runner.epoch, runner.iter)
                    runner.logger.info(
                        f'converged before: {self._last_live} connections for '
                        f'{self._steady_checks} checks; nothing is trained'
                    )
                    break

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Describe the search as plain data, for tools/prune.py."""
        head = find_supernet(trained_model(runner))
        try:
            checkpoint['meta'][SEARCH_KEY] = describe_search(head, self.settings)
        except TypeError as error:
            runner.logger.warning(
                f'PruneHook: the config of the head holds more than plain values ({error}); '
                f'{tool_command("prune")} will need it with --config'
            )

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log the state of the search."""
        step = runner.iter + 1
        if step % self.interval == 0:
            self._record(runner, step)
            head = find_supernet(trained_model(runner))
            status = self._status(head)
            self._log(runner, status)
            log_budgets(runner, head, self.settings.threshold)
            self._count_check(status)
            if self._converged() and not runner.train_loop.stop_training:
                self._stop(runner)
        if self.image_interval and step % self.image_interval == 0 and is_main_process():
            weights = find_supernet(trained_model(runner)).connection_weights()
            image = figure_to_array(draw_weights(weights, f'iteration {step}'))
            runner.visualizer.add_image('connection_weights', image, step)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Remember what the supernet was worth, so that the end need not validate it again."""
        self._validated = (runner.iter, dict(metrics or {}))
        for score in main_score(metrics or {}):
            seen = runner.message_hub.runtime_info.get(SCORES_KEY, [])
            seen = [*(one for one in seen if one[0] != runner.iter), (runner.iter, *score)]
            runner.message_hub.update_info(SCORES_KEY, seen)

    def after_train(self, runner: Any) -> None:
        """Prune, compare and write."""
        search = Search.of_run(runner, self.settings)
        connectivity = search.prune()
        try:
            if self.validate and runner.val_loop is not None and search.is_scored:
                compare(runner, search, connectivity, self._validated)
        finally:
            # What was found is written whatever becomes of the validation.
            if is_main_process():
                text = finish(search, connectivity, runner.work_dir)
                runner.logger.info(f'pruned\n{text}')

    def _record(self, runner: Any, step: int) -> None:
        history = WeightHistory.of(runner.message_hub.runtime_info)
        history.add(step, find_supernet(trained_model(runner)).connection_weights())
        history.save(runner.message_hub)

    def _status(
        self, head: FDNHead, weights: Mapping[Connection, float] | None = None
    ) -> PruneStatus:
        return prune_status(head, self.settings.threshold, self.settings.merge, weights)

    def _log(self, runner: Any, status: PruneStatus) -> None:
        hub = runner.message_hub
        hub.update_scalar('train/connections', status.live)
        hub.update_scalar('train/largest_dropped', status.largest_dropped)
        if status.live:
            hub.update_scalar('train/smallest_kept', status.smallest_kept)
        hub.update_scalar('train/decoder_parameters', status.parameters)
        runner.logger.info(
            f'if pruned now: {status.live} of {status.total} connections, {status.gap()}, '
            f'{status.parameters:,} decoder parameters'
        )

    def _count_check(self, status: PruneStatus) -> None:
        steady = status.live == self._last_live and status.separated(self.separation)
        self._steady_checks = self._steady_checks + 1 if steady else 0
        self._last_live = status.live

    def _converged(self) -> bool:
        return self.stop_after is not None and self._steady_checks >= self.stop_after

    def _stop(self, runner: Any) -> None:
        loop = runner.train_loop
        _end_at(loop, runner.epoch + 1, runner.iter + 1)
        when = 'after this epoch' if isinstance(loop, EpochBasedTrainLoop) else 'here'
        runner.logger.info(
            f'converged: {self._last_live} connections for {self._steady_checks} checks; '
            f'stopping {when}'
        )


def _end_at(loop: Any, epoch: int, iteration: int) -> None:
    """Let a training loop end by its own count: then come last checkpoint and last validation."""
    loop.stop_training = True
    if isinstance(loop, EpochBasedTrainLoop):
        loop._max_epochs = epoch
    else:
        loop._max_iters = iteration
