"""The table of a front as a file, which may be a stranger's."""

from dataclasses import replace

import pytest

from mmseg_sparsemask.search.front_table import TABLE, Point, read_points, write_table

POINT = Point(
    *('02connections_9547_beef', 'supernet', 2, 'D1', 9547, 10_000, None, None, 9547.0, 0.631),
    *(33.5, 'D8: E8 · D1: D8'),
)


def test_a_table_is_read_as_it_was_written(tmp_path):
    points = [POINT, replace(POINT, milliseconds=1.25, val=30.3, trained_loss=0.5)]
    write_table(points, tmp_path)
    assert read_points(tmp_path) == points


@pytest.mark.parametrize('field', ['connectivity', 'folder', 'supernet', 'end'])
def test_text_that_steers_a_terminal_is_refused(field, tmp_path):
    write_table([replace(POINT, **{field: 'D1\x1b]0;owned\x07'})], tmp_path)
    with pytest.raises(ValueError, match=rf'{TABLE}: expected the table of a front .*printable'):
        read_points(tmp_path)
