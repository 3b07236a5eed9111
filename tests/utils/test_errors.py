"""How tools end: one line for what a user can mend, the traceback on request."""

import numpy as np
import pytest

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.utils.errors import TRACEBACK_VARIABLE, one_line_errors


def end_of(action, *more):
    with pytest.raises(SystemExit) as end, one_line_errors(*more):
        action()
    return end.value.code


def test_an_error_of_this_package_is_one_line():
    message = end_of(lambda: Connectivity([2, 4], {}))
    assert message.startswith('error: ') and '\n' not in message


def test_an_error_from_elsewhere_says_how_to_see_more():
    first, second = end_of(lambda: np.zeros(3).reshape(2)).splitlines()
    assert first.startswith('error: cannot reshape')
    assert second == f'({TRACEBACK_VARIABLE}=1 shows where this comes from)'


def test_faults_of_the_program_keep_their_traceback():
    with pytest.raises(TypeError), one_line_errors():
        len(3)
    assert end_of(lambda: len(3), TypeError).startswith('error: ')


def test_the_switch_keeps_the_traceback(monkeypatch):
    monkeypatch.setenv(TRACEBACK_VARIABLE, '1')
    with pytest.raises(ValueError), one_line_errors():
        Connectivity([2, 4], {})


def test_ctrl_c(capsys):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end, one_line_errors(interrupted='go on with --resume'):
        interrupt()
    assert end.value.code == 130
    assert capsys.readouterr().out.strip() == 'go on with --resume'
