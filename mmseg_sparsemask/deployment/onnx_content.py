"""What an ONNX file may hold, read before onnxruntime reads it: a network of its own, and no more.

A file from elsewhere can have its numbers read from other files, call operators that a runtime has
of its own, or be of another format, which onnxruntime takes as well. What is not listed is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

# Fields of ONNX's messages by number, with the message that lies in each; '' is text or numbers.
# Not among them: functions, training, and the names of other files (13 of a tensor).
_MESSAGES: dict[str, dict[int, str]] = {
    'model': {**dict.fromkeys((1, 2, 3, 4, 5, 6, 8, 14), ''), 7: 'graph'},
    'graph': {**dict.fromkeys((2, 10, 11, 12, 13, 14, 16), ''), 1: 'node', 5: 'tensor'},
    'node': {**dict.fromkeys((1, 2, 3, 4, 6, 7, 8, 9), ''), 5: 'attribute'},
    'attribute': {
        **dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 20, 21), ''),
        **{5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph'},
    },
    'tensor': dict.fromkeys((1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16), ''),
}

# What some of them may be: operators are ONNX's own, and numbers lie in the file.
_VALUES: dict[tuple[str, int], tuple[object, ...]] = {
    ('node', 7): (b'', b'ai.onnx'),
    ('tensor', 14): (0,),
}


def check_content(content: bytes, source: str) -> None:
    """Make sure that an ONNX file holds ONNX's own operators, and all of its numbers.

    Args:
        content: Content of the file.
        source: Its name, for the message.

    Raises:
        ValueError: It does not.
    """
    left = [('model', memoryview(content))]
    while left:
        kind, message = left.pop()
        for number, value in _fields(message, source):
            inner = _MESSAGES[kind].get(number)
            if inner and isinstance(value, memoryview):
                left.append((inner, value))
            elif inner != '' or value not in _VALUES.get((kind, number), (value,)):
                raise ValueError(
                    f'{source}: field {number} of a {kind} is none that an exported network has; '
                    "expected ONNX's own operators alone, and all numbers in the file"
                )


def _fields(message: memoryview, source: str) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field of a protocol buffer; fractions are bytes."""
    place = 0
    while place < len(message):
        key, place = _whole(message, place)
        size, value = {1: 8, 5: 4}.get(key & 7), 0
        if key & 7 in (0, 2):
            value, place = _whole(message, place)
            size = 0 if key & 7 == 0 else value
        if size is None or place + size > len(message):
            raise ValueError(f'{source}: expected an ONNX file, got another or a part of one')
        yield key >> 3, value if key & 7 == 0 else message[place : place + size]
        place += size


def _whole(message: memoryview, place: int) -> tuple[int, int]:
    """A whole number and the place after it; that after the message if it does not end."""
    number = 0
    for shift, byte in enumerate(message[place : place + 10]):
        number |= (byte & 127) << 7 * shift
        if byte < 128:
            return number, place + shift + 1
    return number, len(message) + 1
