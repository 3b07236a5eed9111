"""An image stays in its split, whatever is added or taken away."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_sparsemask.fit.data_pairs import VAL_SHARE, Pair, split_up

NAMES = st.lists(
    st.text('abcxyz0189_/ \xfc', min_size=1).map(lambda n: n.strip('/ ') or 'e'),
    min_size=2,
    unique=True,
)


def drawn(names, folder='nowhere'):
    pairs = [Pair(name, f'{name}.jpg', f'{name}.png') for name in sorted(names)]
    return split_up(pairs, (), Path(folder))[0]


@settings(max_examples=100, deadline=None)
@given(NAMES, st.data())
def test_by_the_hash_alone(names, data):
    more = [f'{number:04}' for number in range(40)]  # of which some are in val and some in train
    part = data.draw(st.sets(st.sampled_from(sorted({*names, *more[:39]}))))
    first, second = drawn({*part, *more}), drawn({*names, *more})
    assert first.items() <= second.items()
    assert set(first.values()) == {'train', 'val'}


@settings(max_examples=50, deadline=None)
@given(NAMES, st.integers(2, 10), st.booleans())
def test_by_what_was_written_where_a_handful_was_drawn_otherwise(names, count, full_names):
    with tempfile.TemporaryDirectory() as folder:
        first = drawn(names[:count])
        assert set(first.values()) == {'train', 'val'}
        for split in ('train', 'val'):
            lines = [f'{n}{".jpg" * full_names}\n' for n, s in first.items() if s == split]
            Path(folder, f'{split}.txt').write_text(''.join(lines), encoding='utf-8')
        assert first.items() <= drawn(names, folder).items()
        kept = drawn(names[1:], folder) if len(names) > 2 else first
        if set(first.values()) == {first.get(n) for n in names[1:count]}:
            assert all(kept[n] == s for n, s in first.items() if n in kept)


def test_share_and_a_known_draw():
    found = drawn([f'{number}' for number in range(2000)])
    share = sum(split == 'val' for split in found.values()) / 2000
    assert abs(share - VAL_SHARE) < 0.03
    # By another program: the first byte that `printf a | sha256sum` shows, below a fifth of 256.
    val = [name for name, split in drawn('abcdefghijk').items() if split == 'val']
    assert val == ['c', 'd', 'f', 'j']
