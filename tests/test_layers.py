"""Imports respect the order of layers, and the pure layers need neither torch nor the toolbox."""

import ast
import graphlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = 'mmseg_sparsemask'
FRAMEWORKS = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'mmdet')

#: What each layer may import of the package, besides itself, `utils` and `version`.
LAYERS = {
    'utils': set(),
    'connectivity': set(),
    'models': {'connectivity'},
    'report': {'connectivity'},
    'search': {'connectivity', 'models', 'deployment', 'report'},
    'launch': {'models'},
    'datasets': set(),
    'evaluation': {'datasets'},
    'edges': {'datasets', 'evaluation', 'models'},
    'saliency': {'datasets', 'evaluation', 'models'},
    'compare': {'connectivity', 'models'},
    'deployment': {'connectivity', 'datasets', 'models'},
    'dpc': {'report'},
    'registry': set(),
    'configs': set(),
}

#: Pure Python: no torch, nothing of the toolbox.
PURE = [
    *(
        ROOT / PACKAGE / 'utils' / f'{name}.py'
        for name in ('__init__', 'derived_config', 'figures', 'files')
    ),
    *sorted((ROOT / PACKAGE / 'connectivity').glob('*.py')),
    *sorted((ROOT / PACKAGE / 'report').glob('*.py')),
    *(
        ROOT / PACKAGE / 'compare' / f'{name}.py'
        for name in ('__init__', 'draw', 'leaderboard', 'plan', 'results', 'table')
    ),
    *(
        ROOT / PACKAGE / 'dpc' / f'{name}.py'
        for name in ('cell', 'cost', 'draw', 'presets', 'space')
    ),
]


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob('*.py'))}


def imports(path):
    """Every imported module, with `from package import module` resolved to that module."""
    found = set()
    package = module_name(path) if path.name == '__init__.py' else module_name(path.parent / 'x')
    package = package.removesuffix('.x')
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                above = package.split('.')[: len(package.split('.')) - node.level + 1]
                base = '.'.join([*above, *filter(None, [base])])
            for alias in node.names:
                full = f'{base}.{alias.name}'
                found.add(full if full in MODULES else base)
    return found


def layers_of(name):
    """Other layers that a module imports from."""
    found = {
        imported.split('.')[1]
        for imported in imports(MODULES[name])
        if '.' in imported and imported.split('.')[0] == PACKAGE
    }
    return found - {name.split('.')[1], 'utils', 'version'}


@pytest.mark.parametrize('layer', LAYERS)
def test_what_is_allowed_is_used(layer):
    names = [name for name in MODULES if name.split('.')[1:2] == [layer]]
    assert names and set().union(*map(layers_of, names)) == LAYERS[layer]


def test_imports_are_read_right():
    path = ROOT / PACKAGE / 'connectivity' / 'cost.py'
    assert f'{PACKAGE}.connectivity.graph' in imports(path)
    assert 'dataclasses' in imports(path)


@pytest.mark.parametrize('name', MODULES)
def test_layer(name):
    layer = name.split('.')[1] if '.' in name else None
    if layer in (None, 'version'):
        return
    assert layer in LAYERS, f'{layer}: say in LAYERS what the new layer may import'
    allowed = LAYERS[layer] | {layer, 'utils', 'version'}
    for imported in imports(MODULES[name]):
        if imported.split('.')[0] != PACKAGE:
            continue
        assert imported != PACKAGE, f'{name} imports the whole package'
        assert imported.split('.')[1] in allowed, f'{name} imports {imported}'


@pytest.mark.parametrize('path', PURE, ids=module_name)
def test_pure_files_import_no_framework(path):
    for imported in imports(path):
        assert imported.split('.')[0] not in FRAMEWORKS, imported
        if imported.startswith(f'{PACKAGE}.'):
            assert MODULES[imported] in PURE, f'{path} imports {imported}, which is not pure'


def test_no_module_imports_itself_in_a_circle():
    graph = {name: imports(path) & set(MODULES) for name, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()


def test_a_fresh_process_finds_no_framework():
    # The package's own __init__ registers everything and so imports torch: a stub stands for it.
    pure = [module_name(path) for path in PURE]
    code = f"""
    import importlib, sys, types
    for name in ('{PACKAGE}', '{PACKAGE}.dpc'):
        stub = types.ModuleType(name)
        stub.__path__ = [{str(ROOT)!r} + '/' + name.replace('.', '/')]
        sys.modules[name] = stub
    for name in {pure!r}:
        importlib.import_module(name)
    loaded = {{name.split('.')[0] for name in sys.modules}}
    print(sorted(loaded & set({FRAMEWORKS!r})))
    """
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '[]'
