"""Registries of the scope ``mmseg_sparsemask``, for those who name this package as a scope.

Everything here is registered with MMSegmentation itself, and a config of this package has the
default scope ``mmseg``. But `mmengine.hub.get_model` and ``MMSegInferencer(scope=...)`` take the
package's name for the scope; they find these registries, which hold nothing of their own and pass
what they are asked for on to their parents.
"""

from mmengine.registry import FUNCTIONS, Registry
from mmseg import registry as parents

from mmseg_sparsemask.utils.toolbox import SCOPE

for _parent in [FUNCTIONS, *vars(parents).values()]:
    if isinstance(_parent, Registry) and SCOPE not in _parent.children:
        # A parent does not import its own modules when a child asks: the child names them.
        _places = [SCOPE, *getattr(_parent, '_locations', [])]
        Registry(_parent.name, parent=_parent, scope=SCOPE, locations=_places)
