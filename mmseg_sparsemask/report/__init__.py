"""Pages to look at: what a search found and how it came about, each in one file.

A page loads nothing, runs without a network, and follows the reader's light or dark setting.
"""

from mmseg_sparsemask.report.fit_page import FitRecord, fit_page
from mmseg_sparsemask.report.front_page import (
    ConnectionChange,
    FrontPoint,
    FrontRecord,
    front_page,
    point_page,
    read_front,
)
from mmseg_sparsemask.report.page import Step, write_page
from mmseg_sparsemask.report.search_page import SearchRecord, search_page
from mmseg_sparsemask.report.study_page import CellRecord, StudyRecord, study_page

__all__ = [
    'CellRecord',
    'ConnectionChange',
    'FitRecord',
    'FrontPoint',
    'FrontRecord',
    'SearchRecord',
    'Step',
    'StudyRecord',
    'fit_page',
    'front_page',
    'point_page',
    'read_front',
    'search_page',
    'study_page',
    'write_page',
]
