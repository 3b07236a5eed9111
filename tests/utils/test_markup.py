"""Text of others in Markdown."""

import pytest

from mmseg_sparsemask.utils.markup import one_line, plain_text

markdown = pytest.importorskip('markdown_it', reason='markdown-it is not installed')


@pytest.mark.parametrize(
    'text',
    [
        'fdn_mbv2_voc', '__x__',
        '_x_ y_', '***x***', '<b>&amp;</b>', '[a](b)', '![a](http://b)', '`x`',
        'a\\|b | c', '~~x~~', 'https://e.example www.e.example', '$x$', '\\<b>',
    ],
)  # fmt: skip
def test_a_text_is_shown_as_it_is(text):
    reader = markdown.MarkdownIt('commonmark', {'html': True}).enable(['table', 'strikethrough'])
    table = reader.parse(f'| a |\n|---|\n| {plain_text(text)} |\n')
    (cell,) = [token for token in table if token.type == 'inline'][1:]
    kinds = {child.type for child in cell.children}
    assert kinds <= {'text', 'text_special'} and cell.children
    assert ''.join(child.content for child in cell.children) == text


def test_names_of_configs_stay_readable():
    assert plain_text('fdn_mbv2_voc, fine-tuned') == 'fdn_mbv2_voc, fine-tuned'
    assert one_line('a\n\tb\u202e\0 c') == 'a b c'
