"""A front killed with `kill -9` at random moments, run again, and compared with one never killed.

`python tests/reference/kill_front.py --kills 20 OUT` prints a row a kill and the counts.
"""

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The tree that this file is in, whatever is installed.
sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]

import torch  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from reference import fronts, tiny  # noqa: E402

ASKED = ['--held-back', 4, '--count', 6, '--swaps', 10, '--controls', 2, '--why', 4]
MORE = fronts.MORE.replace('val_cfg = val_dataloader = val_evaluator = None', '')


def start(target, *arguments, log):
    """A process of its own, which has all that this one has imported, and has computed nothing."""
    process = multiprocessing.get_context('fork').Process(
        target=_logged, args=(target, arguments, log)
    )
    process.start()
    return process


def _logged(target, arguments, log):
    with open(log, 'a') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    target(*arguments)


def train(folder):
    config = tiny.write_configs(folder, iterations=8, more=MORE)
    Runner.from_cfg(tiny.load(config, folder / 'w')).train()


def notes_of(folder):
    return {path.name: path.read_text() for path in folder.glob('*.jsonl')}


def complete(text):
    """Lines of notes that were written whole."""
    return [line for line in text.split('\n')[:-1] if json.loads(line)]


def content(folder):
    """Everything that a front leaves, as values that can be compared."""
    found = {}
    # What a kill has left of a file that is written whole is hidden.
    for path in sorted(folder.rglob('[!.]*')):
        name = str(path.relative_to(folder))
        if path.suffix == '.jsonl':
            found[name] = sorted(complete(path.read_text()))
        elif path.suffix in ('.pth', '.pt'):
            data = torch.load(path, weights_only=True)
            tensors = data.get('state_dict', data)
            found[name] = json.dumps({k: _hash(v) for k, v in tensors.items()})
        elif path.suffix in ('.csv', '.json', '.py', '.html'):
            found[name] = path.read_text().replace(str(folder), 'FRONT')
    return found


def _hash(value):
    values = value if isinstance(value, list) else [value]
    return [hash(tensor.numpy().tobytes()) for tensor in values]


def run_kills(kills, out, seed=0):
    """Kill, run again, compare; return how many kills lost something, and whether fronts agree."""
    numbers = random.Random(seed)
    training = start(train, out, log=out / 'train.log')
    training.join()
    assert training.exitcode == 0, (out / 'train.log').read_text()[-2000:]
    search = out / 'w'

    def front(folder):
        return start(fronts.run, search, *ASKED, '--out', folder, log=out / 'front.log')

    begin = time.perf_counter()
    straight = front(out / 'straight')
    straight.join()
    assert straight.exitcode == 0, (out / 'front.log').read_text()[-2000:]
    whole = time.perf_counter() - begin
    expected = content(out / 'straight')
    print(f'never killed: {whole:.1f} s, {len(expected)} files', flush=True)
    done, lost, fronts_made, differ = 0, 0, 0, 0
    folder = out / 'killed0'
    while True:
        before = notes_of(folder)
        process = front(folder)
        process.join(numbers.uniform(0.02, 1) * whole if done < kills else None)
        ended = process.exitcode is not None
        if not ended:
            process.kill()
            process.join()
            done += 1
            after = notes_of(folder)
            kept = all(complete(after[name])[: len(complete(t))] == complete(t)
                       for name, t in before.items())  # fmt: skip
            lost += not kept
            count = sum(len(complete(text)) for text in after.values())
            print(f'kill {done}: {count} notes, {"kept" if kept else "LOST"}', flush=True)
            continue
        assert process.exitcode == 0, (out / 'front.log').read_text()[-2000:]
        fronts_made += 1
        found = content(folder)
        wrong = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
        differ += bool(wrong)
        print(f'front {fronts_made} ended: {wrong or "equal in every file"}', flush=True)
        if done >= kills:
            break
        folder = out / f'killed{fronts_made}'
    print(
        f'{done} kills: {lost} lost notes; {fronts_made - differ} of {fronts_made} fronts equal '
        'the one never killed'
    )
    return lost, differ


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path)
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    lost, differ = run_kills(args.kills, args.out.resolve(), args.seed)
    raise SystemExit(bool(lost or differ))


if __name__ == '__main__':
    main()
