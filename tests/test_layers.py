"""Imports respect the order of layers, and the pure files need neither torch nor the toolbox."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = 'mmseg_sparsemask'
FRAMEWORKS = set('torch torchvision mmengine mmcv mmseg mmpretrain mmdet optuna'.split())

#: From the bottom: a module imports from its own folder and from rows above its own.
LAYERS = (
    'utils version registry configs',
    'connectivity datasets',
    'models binary_maps report',
    'deployment dpc edges saliency',
    'search',
    'launch',
    'compare',
    'front',
    'fit',
)
LEVEL = {name: level for level, row in enumerate(LAYERS) for name in row.split()}

#: Pure Python: no torch, nothing of the toolbox.
PURE = (
    'utils/__init__ utils/checks utils/derived_config utils/figures utils/files utils/markup '
    'utils/tool_command utils/words '
    'connectivity/* report/* '
    'compare/__init__ compare/comparisons compare/leaderboard compare/plan compare/results '
    'compare/rows compare/scatter compare/scores compare/statistics '
    'dpc/cell dpc/cell_figure dpc/cost dpc/presets dpc/space'
).split()


def module_name(path):
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


MODULES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob('*.py'))}


def pure_modules():
    found = [sorted((ROOT / PACKAGE).glob(f'{pattern}.py')) for pattern in PURE]
    assert all(found), f'no file: {[p for p, files in zip(PURE, found) if not files]}'
    return {module_name(path) for files in found for path in files}


def imports(path):
    """Every imported module, with `from package import module` resolved to that module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            full = {f'{node.module}.{alias.name}' for alias in node.names}
            found |= {name if name in MODULES else node.module for name in full}
    return found


IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def test_imports_are_read_right():
    found = IMPORTS[f'{PACKAGE}.connectivity.cost']
    assert {f'{PACKAGE}.connectivity.graph', 'dataclasses'} <= found


def names_of(path):
    """Names that a module defines or imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).split('.')[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_what_is_imported_exists():
    """Also inside functions, where a stale name shows only when it is called."""
    names = {name: names_of(path) for name, path in MODULES.items()}
    wrong = []
    for folder in (PACKAGE, 'tools', 'benchmarks', 'tests'):
        for path in (ROOT / folder).rglob('*.py'):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and f'{node.module}.'.startswith(f'{PACKAGE}.'):
                    known = names.get(node.module, set())
                    wrong += [
                        f'{path.relative_to(ROOT)}: {node.module}.{alias.name}'
                        for alias in node.names
                        if alias.name not in known | {'*'}
                        and f'{node.module}.{alias.name}' not in MODULES
                    ]
    assert not wrong


def test_layers():
    wrong = []
    for name, found in IMPORTS.items():
        if name == PACKAGE:
            continue
        layer = name.split('.')[1]
        assert layer in LEVEL, f'{layer}: say in LAYERS below which other layers it stands'
        for imported in found:
            if imported.split('.')[0] != PACKAGE:
                continue
            assert imported != PACKAGE, f'{name} imports the whole package'
            other = imported.split('.')[1]
            if other not in (layer, 'utils', 'version') and LEVEL[other] >= LEVEL[layer]:
                wrong.append(f'{name} imports {imported}')
    assert not wrong


def test_pure_files_import_no_framework():
    pure = pure_modules()
    wrong = [
        f'{name} imports {imported}'
        for name in pure
        for imported in IMPORTS[name]
        if imported.split('.')[0] in FRAMEWORKS
        or (imported.startswith(f'{PACKAGE}.') and imported not in pure)
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_circle():
    graph = {name: found & set(MODULES) for name, found in IMPORTS.items()}
    graphlib.TopologicalSorter(graph).prepare()


def test_a_fresh_process_finds_no_framework():
    # The package's own __init__ registers everything and so imports torch: a stub stands for it.
    code = f"""
import importlib, sys, types
for name in ('{PACKAGE}', '{PACKAGE}.dpc'):
    stub = types.ModuleType(name)
    stub.__path__ = [{str(ROOT)!r} + '/' + name.replace('.', '/')]
    sys.modules[name] = stub
for name in {sorted(pure_modules())!r}:
    importlib.import_module(name)
print(sorted({{name.split('.')[0] for name in sys.modules}} & {FRAMEWORKS!r}))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, '[]'), done.stderr
