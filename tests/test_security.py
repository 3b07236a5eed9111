"""What SECURITY.md and docs/publishing.md promise is held by tests, named here."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: How a sentence begins, and the tests without which nothing would hold it.
HELD = {
    '`tools/test.py`, `tools/prune.py`': (
        'tools/test_hostile_checkpoints.py::test_nothing_is_run',
        'utils/test_checkpoints.py::test_a_hostile_file_is_refused_and_not_run',
    ),
    '`tools/prune.py` builds': (
        'search/test_saved_search.py::test_a_description_builds_nothing_else',
        'search/test_saved_search.py::test_a_damaged_checkpoint_is_one_line',
        'models/test_allowed.py::test_connections_are_rules_with_numbers',
        'models/test_allowed.py::test_no_setting_of_a_class_takes_what_is_not_plain',
    ),
    '`tools/prune.py` and `tools/front.py` read': (
        'search/test_saved_search.py::test_a_config_that_a_checkpoint_names_is_not_run',
        'search/test_saved_search.py::test_a_config_of_this_project_is_found_by_its_name',
    ),
    'The copy of the config': ('utils/test_checkpoints.py::test_none_can_be_resumed',),
    'Parts, names of classes': (
        'utils/test_checkpoints.py::test_parts_are_dicts_or_not_there',
        'deployment/test_predictor.py::test_names_and_colours_of_another_kind_are_one_error',
    ),
    '`config.json` and `model.safetensors`': (
        'deployment/test_published.py::test_from_the_hub_by_repository_name',
        'fuzz/test_fuzz_files.py::test_changed_config_json_is_refused_or_gives_labels',
    ),
    '`config.json` may hold': (
        'deployment/test_published.py::test_what_is_not_in_the_lists_is_refused_by_its_name',
    ),
    'No value of a setting': (
        'models/test_allowed.py::test_no_setting_of_a_class_takes_what_is_not_plain',
    ),
    'No weights are fetched': (
        'models/test_allowed.py::test_classes_that_fetch_weights_by_themselves_are_told_not_to',
        'deployment/test_published_networks.py::test_every_head_is_published_and_loaded',
        'deployment/test_published_networks.py::'
        'test_every_backbone_is_laid_out_without_values_and_offline',
    ),
    'Files that were damaged': (
        'deployment/test_published.py::test_damaged_and_missing_files_are_errors',
    ),
    'Weights that are infinite': (
        'deployment/test_published.py::'
        'test_weights_that_are_not_numbers_are_neither_read_nor_published',
        'deployment/test_published.py::test_weights_are_of_the_kinds_that_are_published',
    ),
    'A network that is larger': (
        'deployment/test_published.py::test_a_network_larger_than_its_weights_takes_no_memory',
    ),
    'Whatever is changed': (
        'fuzz/test_fuzz_files.py::test_changed_config_json_is_refused_or_gives_labels',
    ),
    '`OnnxPredictor` and': (
        'deployment/test_onnx_content.py::test_what_no_exported_network_has',
        'deployment/test_onnx_content.py::test_the_own_format_of_onnxruntime',
    ),
    '`connectivity.json`, images': (
        'fuzz/test_fuzz_files.py::test_damaged_files_are_refused_by_name',
    ),
    'Sizes and depths': ('fuzz/test_fuzz_files.py::test_damaged_files_are_refused_by_name',),
    '`.mat` files and `.npy`': (
        'datasets/test_matlab.py::test_damaged_files',
        'datasets/test_matlab.py::test_what_unpacks_to_too_much',
        'fuzz/test_fuzz_files.py::test_damaged_files_are_refused_by_name',
    ),
    'A published folder names no': (
        'deployment/test_published.py::test_no_folder_of_this_machine_is_named',
        'deployment/test_publish_tool.py::test_commands_for_points_of_a_front_stay_here',
    ),
    'In its model card': (
        'deployment/test_published.py::test_nothing_in_a_card_is_markup_but_its_own',
    ),
    "The card's code": (
        'deployment/test_published.py::test_nothing_in_a_card_is_markup_but_its_own',
    ),
    '`model.safetensors`': ('deployment/test_published.py::test_what_is_written',),
    '`config.json` | the network': (
        'deployment/test_published.py::test_two_lines_load_it_with_the_same_labels',
        'deployment/test_published.py::test_damaged_and_missing_files_are_errors',
    ),
    '`connectivity.json`, `connectivity.svg`': (
        'deployment/test_published.py::test_what_is_written',
    ),
    '`connection_weights.svg`': (
        'deployment/test_publish_tool.py::test_figures_of_the_search_are_those_of_the_network',
    ),
    '`scores.json`': ('deployment/test_publish_tool.py::test_the_tool_measures_and_writes',),
    '`model.onnx`': (
        'deployment/test_published.py::test_onnx',
        'deployment/test_export.py::test_a_wrong_file_is_not_left_behind',
    ),
    '`README.md`': ('deployment/test_published.py::test_model_card_is_what_the_hub_reads',),
    '`--test` measures': (
        'deployment/test_publish_tool.py::test_the_tool_measures_and_writes',
        'deployment/test_publish_tool.py::test_scores_of_a_file',
        'deployment/test_published.py::test_card_without_scores_says_so',
    ),
    'The folder appears whole': (
        'deployment/test_published.py::test_nothing_half_written_and_nothing_overwritten',
        'deployment/test_published.py::'
        'test_weights_that_are_not_numbers_are_neither_read_nor_published',
    ),
    'Losses, auxiliary heads': (
        'deployment/test_published_networks.py::test_every_head_is_published_and_loaded',
    ),
    'A network whose class': (
        'deployment/test_published.py::test_nothing_half_written_and_nothing_overwritten',
    ),
    'A folder of the given name': (
        'deployment/test_published.py::test_a_folder_of_that_name_comes_first',
        'deployment/test_published.py::test_from_the_hub_by_repository_name',
    ),
    'Both files are read as data': (
        'deployment/test_published.py::test_what_is_not_in_the_lists_is_refused_by_its_name',
    ),
    'Folders that were published': (
        'deployment/test_published.py::test_files_that_do_not_fit_are_errors',
    ),
    'The ONNX file needs': (
        'deployment/test_without_toolbox.py::test_what_runs_onnx_files_needs_four_libraries',
    ),
}


def promises():
    text = (ROOT / 'SECURITY.md').read_text().split('## What is not trusted')[1]
    text += (ROOT / 'docs/publishing.md').read_text()
    listed = r'^(?:- |\| (?=`))(.*(?:\n  .*)*)'
    found = re.finditer(rf'{listed}|^((?:`\.mat`|The ONNX file needs).*)', text, flags=re.M)
    return [match[1] or match[2] for match in found]


def test_every_promise_is_held():
    begun = [next((key for key in HELD if text.startswith(key)), text) for text in promises()]
    assert begun == list(HELD)


@pytest.mark.parametrize('test', sorted({test for tests in HELD.values() for test in tests}))
def test_what_holds_a_promise_is_there(test):
    path, name = test.split('::')
    tree = ast.parse((ROOT / 'tests' / path).read_text())
    (found,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    assert not any('skip' in ast.unparse(decorator) for decorator in found.decorator_list)
