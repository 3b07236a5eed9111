"""Pages to look at: what a search found and how it came about, each in one file.

A page loads nothing, runs without a network, and follows the reader's light or dark setting.
"""

from mmseg_sparsemask.report.fit_page import FitRecord, fit_page
from mmseg_sparsemask.report.page import Step, write_page
from mmseg_sparsemask.report.search_page import SearchRecord, search_page
from mmseg_sparsemask.report.study_page import CellRecord, StudyRecord, study_page

__all__ = [
    'CellRecord',
    'FitRecord',
    'SearchRecord',
    'Step',
    'StudyRecord',
    'fit_page',
    'search_page',
    'study_page',
    'write_page',
]
