"""Calls are timed in turns."""

from mmseg_sparsemask.utils.timing import timed_in_turns


def test_calls_take_turns_and_the_first_rounds_do_not_count():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in 'ab'}
    times = timed_in_turns(calls, rounds=2, warmup=1)
    # Another one is first each time, and every other round goes backwards.
    assert ''.join(order) == 'ababab'
    assert times.keys() == {'a', 'b'}
    assert all(len(taken) == 2 and min(taken) >= 0 for taken in times.values())
