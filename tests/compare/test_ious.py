import numpy as np
import torch
from mmseg.evaluation import IoUMetric

from mmseg_sparsemask.compare.ious import confusion, ious


def test_ious_are_those_of_the_toolbox():
    draw = torch.Generator().manual_seed(0)
    # Class 3 is predicted and never true, class 4 neither.
    truth, found = (torch.randint(n, (2, 9, 7), generator=draw) for n in (3, 4))
    tables = [confusion(*pair, classes=5) for pair in zip(truth, found)]
    assert tables[0][1, 2] == ((truth[0] == 1) & (found[0] == 2)).sum()
    areas = [IoUMetric.intersect_and_union(f, t, 5, 255) for t, f in zip(truth, found)]
    hits, unions = (sum(area[place] for area in areas) for place in (0, 1))
    got = ious(sum(tables))
    np.testing.assert_allclose(got, 100 * hits / unions, rtol=1e-6)
    assert got[3] == 0 and got[4].isnan()
