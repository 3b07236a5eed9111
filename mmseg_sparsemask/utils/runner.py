"""The toolbox's runner, with a console that holds what a person reads."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import RUNNERS
from torch import nn

# How messages begin that say the same at each start: some 400 lines of a search.
_TO_FILE_ALONE = (
    f'\n{"-" * 60}\nSystem environment:',
    'Config:\n',
    'Hooks will be executed in the following order:',
    'paramwise_options -- ',
)


class ShortConsoleRunner(Runner):
    """Environment, config, order of hooks and learning rates go to the log file alone."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """As the toolbox does, and one line that says where the rest is."""
        logger = super().build_logger(*args, **kwargs)
        files = [h for h in logger.handlers if isinstance(h, logging.FileHandler)]
        if files:
            for handler in set(logger.handlers) - set(files):
                handler.addFilter(_is_short)
            logger.info(f'environment, config and order of hooks: {files[0].baseFilename}')
        return logger


def _is_short(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_TO_FILE_ALONE)


def build_runner(cfg: Config) -> Runner:
    """The runner of a config: of the type that it names, else one with a short console."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else ShortConsoleRunner.from_cfg(cfg)


def trained_model(runner: Runner) -> nn.Module:
    """The model whose weights a run is about: the averaged one if it has an `EMAHook`.

    That is the one that is validated and that checkpoints hold under ``state_dict``.
    """
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            return hook.ema_model.module
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


@contextmanager
def warnings_alone() -> Iterator[None]:
    """Context without what the toolbox says of each parameter where no log file takes it."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
