# Decoders with the heads of other_starts.py, for results/camvid-starts_efficientnet-lite0.yaml.
_base_ = '../configs/sparsemask/sparsemask_efficientnet-lite0_camvid-160x208.py'
custom_imports = dict(imports=['mmseg_sparsemask', 'benchmarks.other_starts'])
