"""Checkpoints are read as data, and a stopped run finds the one to go on with."""

import os
import pickle
from pathlib import Path

import pytest
import torch

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.utils.checkpoints import checkpoint_to_resume, load_checkpoint, load_strictly

WHOLE = dict(meta=dict(iter=4), state_dict=dict(w=torch.ones(2)), message_hub={}, optimizer={})

SHAPES = dict(weight=(1, 1), bias=(1,))


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def save(folder, name, content=None, age=0):
    path = folder / name
    torch.save(WHOLE if content is None else content, path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def test_data_is_read(tmp_path):
    content = load_checkpoint(save(tmp_path, 'a.pth'))
    assert content['meta'] == {'iter': 4} and torch.equal(content['state_dict']['w'], torch.ones(2))


@pytest.mark.parametrize('plain_pickle', [False, True])
def test_a_hostile_file_is_refused_and_not_run(tmp_path, plain_pickle):
    made = tmp_path / 'made'
    path = save(tmp_path, 'a.pth', dict(WHOLE, meta=Hostile(made)))
    if plain_pickle:
        path.write_bytes(pickle.dumps(dict(WHOLE, meta=Hostile(made)), 2))
    with pytest.raises(ValueError, match=r'a\.pth: .*--trust-checkpoint'):
        load_checkpoint(path)
    assert not made.exists()


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04', b'no checkpoint at all'])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.pth'):
        load_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('saved', [['decode_head'], ['decode_head', 'auxiliary_head'], []])
@pytest.mark.parametrize('built', [['decode_head'], ['decode_head', 'auxiliary_head']])
def test_auxiliary_heads_need_not_fit(built, saved, prefix):
    network = torch.nn.ModuleDict({name: torch.nn.Linear(1, 1) for name in built})
    state = {f'{prefix}{n}.{k}': torch.full(s, 7.0) for n in saved for k, s in SHAPES.items()}
    if saved:
        load_strictly(network, dict(state_dict=state), 'a.pth')
        assert network['decode_head'].bias == 7
    else:
        with pytest.raises(ValueError, match=r'(?s)a\.pth does not fit .*decode_head\.weight'):
            load_strictly(network, dict(state_dict=state), 'a.pth')


def test_other_content_and_places(tmp_path):
    with pytest.raises(ValueError, match='expected a checkpoint, got a list'):
        load_checkpoint(save(tmp_path, 'a.pth', [1, 2]))
    with pytest.raises(FileNotFoundError, match=r'b\.pth: does not exist'):
        load_checkpoint(tmp_path / 'b.pth')
    with pytest.raises(ValueError, match='expected a file or an http'):
        load_checkpoint('open-mmlab://resnet50')


@pytest.mark.parametrize('trust', [False, True])
@pytest.mark.parametrize('key', ['meta', 'state_dict', 'message_hub'])
def test_parts_are_dicts_or_not_there(tmp_path, key, trust):
    path = save(tmp_path, 'a.pth', {**WHOLE, key: None})
    assert set(WHOLE) - set(load_checkpoint(path, trust)) == {key}
    for value in (3, 'x', [1], torch.ones(2), {4: 'x'}):
        save(tmp_path, 'a.pth', {**WHOLE, key: value})
        with pytest.raises(ValueError, match=rf'a\.pth: {key}: expected a dict of names'):
            load_checkpoint(path, trust)


def test_the_named_one_is_taken_wherever_the_directory_moved(tmp_path):
    assert checkpoint_to_resume(tmp_path) == (None, [])  # a run that wrote nothing starts
    first = save(tmp_path, 'iter_4.pth', age=5)
    save(tmp_path, 'iter_8.pth')
    for named in (first, '/gone/iter_4.pth'):
        (tmp_path / 'last_checkpoint').write_text(str(named))
        assert checkpoint_to_resume(tmp_path) == (first, [])


@pytest.mark.parametrize(
    'content, message',
    [(b'PK', 'start anew without --resume'), (dict(config='import os'), 'holds a config')],
)
def test_none_can_be_resumed(tmp_path, content, message):
    path = save(tmp_path, 'iter_4.pth', dict(WHOLE, meta=content))
    if isinstance(content, bytes):
        path.write_bytes(content)
    (tmp_path / 'last_checkpoint').write_text('iter_4.pth')
    with pytest.raises(ValueError, match=message):
        checkpoint_to_resume(tmp_path)


@pytest.mark.parametrize('pointer', ['', 'iter_9.pth', 'iter_8.pth'])
def test_the_newest_readable_one_else(tmp_path, pointer):
    """A pointer cut off, to a file that was removed, or to one that was cut off."""
    save(tmp_path, 'iter_2.pth', age=9)
    wanted = save(tmp_path, 'iter_4.pth', age=5)
    save(tmp_path, 'best_mIoU_iter_4.pth', age=4)
    save(tmp_path, 'pruned.pth', dict(meta={}, state_dict={}), age=3)
    cut = save(tmp_path, 'iter_8.pth')
    cut.write_bytes(cut.read_bytes()[:-200])
    (tmp_path / 'last_checkpoint').write_text(pointer)
    found, reasons = checkpoint_to_resume(tmp_path)
    assert found == wanted
    assert any('iter_8.pth' in reason for reason in reasons)
