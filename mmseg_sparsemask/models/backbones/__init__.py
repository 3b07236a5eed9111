from mmseg_sparsemask.models.backbones.feature_taps import FeatureTaps

__all__ = ['FeatureTaps']
