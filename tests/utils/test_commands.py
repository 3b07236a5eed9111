"""What is shown of the tools that run one after another."""

import json

import pytest

from mmseg_sparsemask.utils.commands import clock, new_records, progress_line, run_tool


def test_progress_is_read_from_what_the_run_writes(tmp_path):
    path = tmp_path / 'scalars.json'
    first = {'loss': 3.0434, 'time': 0.25, 'step': 50, 'decode.loss_ce': 1.8}
    checked = {**first, 'step': 75, 'connections': 21.0, 'largest_dropped': 0.00042}
    checked['smallest_kept'] = 0.31
    path.write_text(f'{json.dumps(first)}\n{json.dumps(checked)[:20]}')
    records, offset = new_records(path, 0)
    assert records == [first]
    path.write_text(
        f'{json.dumps(first)}\n{json.dumps(checked)}\n{json.dumps({"mIoU": 50.0, "step": 75})}\n'
    )
    more, end = new_records(path, offset)
    assert end == path.stat().st_size and new_records(path, end) == ([], end)
    assert [progress_line(record, 350) for record in [*records, *more]] == [
        'iteration  50/350  eta 1:15  loss 3.043',
        'iteration  75/350  eta 1:09  loss 3.043  if pruned now 21 connections '
        '(dropped <= 0.00042, kept >= 0.31)',
        None,
    ]


@pytest.mark.parametrize(
    ('seconds', 'shown'), [(0.4, '0:00'), (59.6, '1:00'), (187, '3:07'), (3787, '1:03:07')]
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown


def test_a_tool_gets_its_options_and_its_environment(tmp_path, capsys):
    tool = tmp_path / 'tool.py'
    tool.write_text("import os, sys\nprint(sys.argv[1:], os.environ['WORD'])\n")
    seconds = run_tool(
        'a step', tool, 'x', work_dir=tmp_path / 'w', options=['a=1'], env={'WORD': 'hello'}
    )
    assert seconds > 0
    given = ['x', '--work-dir', str(tmp_path / 'w'), '--cfg-options', 'a=1']
    assert (tmp_path / 'w/output.log').read_text() == f'{given} hello\n'
    assert f'== a step\n$ python {tool} x --work-dir' in capsys.readouterr().out


def test_a_failing_tool_ends_it_with_the_end_of_its_output(tmp_path):
    tool = tmp_path / 'tool.py'
    tool.write_text("print('the reason')\nraise SystemExit(3)\n")
    with pytest.raises(SystemExit, match=r'the reason\na step failed \(exit status 3\)'):
        run_tool('a step', tool, work_dir=tmp_path)
