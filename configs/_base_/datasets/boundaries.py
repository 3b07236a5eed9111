# What data sets of boundaries share: the annotations of a test image travel with it, since
# EdgeMetric needs those of every annotator.
meta_keys = (
    'img_path',
    'seg_map_path',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'gt_boundaries',
)
