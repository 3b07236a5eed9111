import importlib


def register_all_modules(init_default_scope: bool = True) -> None:
    """Register everything in this package; MMEngine calls it by this name (`mmengine.hub`).

    Args:
        init_default_scope: Also make ``mmseg`` the default scope.
    """
    importlib.import_module('mmseg_sparsemask')
    if init_default_scope:
        importlib.import_module('mmseg.utils').register_all_modules(init_default_scope=True)
