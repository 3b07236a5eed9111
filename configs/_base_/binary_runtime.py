# default_runtime.py for tasks with one output channel: boundaries, salient objects.
_base_ = './default_runtime.py'
tta_model = dict(type='BinaryTTAModel')
# Image, truth and probability side by side: tools/test.py --show-dir.
visualizer = dict(type='MapVisualizer')
