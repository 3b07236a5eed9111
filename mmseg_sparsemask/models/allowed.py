"""What a description of a network from elsewhere may say: names of classes, and plain settings.

A class or a setting that is not in these lists is refused: so a class that reads files in a later
version of MMSegmentation does no harm. The name of a setting alone decides which values it may
have, and none of them can name a file, an address or something to import. The class itself decides
whether it has a setting of that name.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmseg.registry import MODELS

from mmseg_sparsemask.models.connections.connection_rule import ConnectionRule
from mmseg_sparsemask.utils.registered import registered_class

SEGMENTORS = ('EncoderDecoder',)
PREPROCESSORS = ('SegDataPreProcessor',)
BACKBONES = tuple(
    'FeatureTaps HRNet MixVisionTransformer MobileNetV2 MobileNetV3 ResNeSt ResNeXt ResNet '
    'ResNetV1c ResNetV1d SwinTransformer TIMMBackbone UNet mmpretrain.ConvNeXt '
    'mmpretrain.EfficientNet mmpretrain.MobileNetV2 mmpretrain.MobileNetV3 mmpretrain.RegNet '
    'mmpretrain.ResNet mmpretrain.ResNetV1c mmpretrain.ResNetV1d mmpretrain.SwinTransformer '
    'mmpretrain.TIMMBackbone mmpretrain.VGG'.split()
)
NECKS = ('DPCNeck', 'FPN', 'Feature2Pyramid', 'MultiLevelNeck')
HEADS = tuple(
    'ASPPHead DPCHead DSSHead DepthwiseSeparableASPPHead FCNHead FDNHead FPNHead HEDHead '
    'GlobalLRASPPHead LRASPPHead PSPHead SegformerHead SparseMaskHead UPerHead'.split()
)
NORMS = tuple('BN BN2d GN IN IN2d LN LN2d SyncBN'.split())
ACTIVATIONS = tuple(
    'ELU GELU HSigmoid HSwish LeakyReLU PReLU ReLU ReLU6 SiLU Sigmoid Swish Tanh'.split()
)
CONVOLUTIONS = ('Conv', 'Conv2d', 'Conv2dAdaptivePadding', 'ConvAWS', 'ConvWS')
UPSAMPLINGS = ('DeconvModule', 'InterpConv', None)
TRANSFORMS = tuple(
    'LoadImageFromFile Normalize PackSegInputs Pad RGB2Gray Resize ResizeShortestEdge '
    'ResizeToMultiple'.split()
)

#: All of them.
NAMES = (*SEGMENTORS, *PREPROCESSORS, *BACKBONES, *NECKS, *HEADS, *NORMS, *ACTIVATIONS)
NAMES += (*CONVOLUTIONS, *filter(None, UPSAMPLINGS), *TRANSFORMS)

#: These fetch weights unless their ``pretrained`` says otherwise.
FETCHING = ('TIMMBackbone',)

#: Settings without effect on the labels of an image at hand: what training alone needs, and how
#: files are read. None is published.
LEFT_OUT = frozenset(
    'auxiliary_head backend_args batch_augments checkpoint checkpoint_path clip_object_border '
    'color_type file_client_args frozen_stages ignore_empty ignore_index imdecode_backend init_cfg '
    'loss_connectivity loss_decode meta_keys norm_eval pretrained sampler train_cfg with_cp '
    'zero_init_residual'.split()
)

Check = Callable[[Any, str], None]


@dataclass(frozen=True)
class Kind:
    """A kind of plain value.

    Attributes:
        expected: In words, for messages.
        fits: Whether a value is of the kind.
    """

    expected: str
    fits: Callable[[Any], Any]

    def __call__(self, value: Any, where: str) -> None:
        """Raise a ValueError that begins with `where` if the value is not of the kind."""
        if not self.fits(value):
            raise ValueError(f'{where}: expected {self.expected}, got {value!r:.80}')


def nested(item: Kind, depth: int = 2) -> Kind:
    """Such a value, or a list of at most 100 of them, or of such lists."""

    def fits(value: Any, depth: int = depth) -> bool:
        if isinstance(value, (list, tuple)):
            return depth > 0 and len(value) <= 100 and all(fits(v, depth - 1) for v in value)
        return bool(item.fits(value))

    return Kind(f'{item.expected}, or a list', fits)


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""
    return Kind(
        f'a whole number from {low} to {high}',
        lambda value: type(value) is int and low <= value <= high,
    )


def words(choices: str) -> Kind:
    """One of some words."""
    known = choices.split()
    return Kind(f'one of {known}', lambda value: isinstance(value, str) and value in known)


MAPPING = Kind('an object', lambda value: isinstance(value, Mapping))
FLAG = Kind('true or false', lambda value: type(value) is bool)
NUMBER = Kind('a number', lambda value: type(value) in (int, float) and abs(value) <= 1e6)
NAME = Kind(
    'a name of letters, digits, "_" and "."',
    lambda value: isinstance(value, str) and re.fullmatch(r'[A-Za-z0-9_.]{1,100}', value),
)
TEXT = Kind(
    'a line of at most 200 characters',
    lambda value: isinstance(value, str) and len(value) <= 200 and value.isprintable(),
)
COLOUR = Kind(
    'a colour, three whole numbers from 0 to 255',
    lambda value: (
        isinstance(value, (list, tuple))
        and len(value) == 3
        and all(type(level) is int and 0 <= level <= 255 for level in value)
    ),
)


def part(*names: str | None) -> Check:
    """Settings with one of these names as their ``type``; none of these for None."""

    def check(value: Any, where: str) -> None:
        MAPPING(value, where)
        name = value.get('type')
        if not isinstance(name, (str, type(None))) or name not in names:
            known = ', '.join(map(str, names))
            raise ValueError(f'{where}.type: expected one of {known}; got {name!r:.80}')
        for key, setting in value.items():
            if key != 'type' and key not in KINDS:
                raise ValueError(
                    f'{where}.{str(key)[:80]}: is none of the settings that a description may have'
                )
            if key != 'type' and setting is not None:
                KINDS[key](setting, f'{where}.{key}')
        if name in FETCHING and value.get('pretrained') is not False:
            raise ValueError(f'{where}.pretrained: expected false, or weights would be fetched')

    return check


def each(item: Check, most: int = 100) -> Check:
    """A list of at most so many things."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, (list, tuple)) or len(value) > most:
            raise ValueError(f'{where}: expected a list of at most {most}, got {value!r:.80}')
        for place, thing in enumerate(value):
            item(thing, f'{where}[{place}]')

    return check


def _stages(value: Any, where: str) -> None:
    MAPPING(value, where)
    for stage, sources in value.items():
        NAME(stage, where)
        nested(NAME, 1)(sources, f'{where}.{stage}')


def _cell(value: Any, where: str) -> None:
    presets = words('aspp aspp_no_pooling dpc_cityscapes')
    (presets if isinstance(value, str) else part(None))(value, where)


def _padding(value: Any, where: str) -> None:
    (part(None) if isinstance(value, Mapping) else nested(NUMBER))(value, where)


def check_connections(value: Any, where: str = 'connections') -> None:
    """Make sure that settings are those of a rule for connection weights, and plain.

    Args:
        value: ``type``, the registered name of a `ConnectionRule`, and numbers for it.
        where: Put at the start of messages.

    Raises:
        ValueError: They are not.
    """
    MAPPING(value, where)
    rule = registered_class(value.get('type', 'RelaxedConnections'), MODELS)
    if not (isinstance(rule, type) and issubclass(rule, ConnectionRule)):
        raise ValueError(
            f'{where}.type: expected the name of a registered ConnectionRule, got '
            f'{value["type"]!r:.80}'
        )
    known = sorted(set(inspect.signature(rule).parameters) - {'connectivity'})
    for key, setting in value.items():
        if key != 'type' and key not in known:
            raise ValueError(f'{where}.{str(key)[:80]}: is no setting; expected {known}')
        if key != 'type' and setting is not None and type(setting) is not bool:
            nested(NUMBER)(setting, f'{where}.{key}')


_BY_KIND: dict[Check, str] = {
    nested(FLAG): 'act_encoder add_extra_convs affine align_corners avg_down avg_down_stride '
    'balanced bgr_to_rgb ceil_mode concat_input contract_dilation conv_first deep_stem downsamples '
    'extra_convs_on_inputs features_only gap_before_final_norm inplace keep_ratio linear_pw_conv '
    'multiscale_output no_norm_on_lateral out_after_downsample pad_small_map pad_to_square '
    'patch_norm qkv_bias relu_before_extra_convs requires_grad rgb_to_bgr to_float32 to_rgb '
    'use_abs_pos_embed use_grn with_last_pool',
    nested(whole(-1, 2**16)): 'average_with base_channels base_width branch_channels c1_channels '
    'c1_in_channels channels crop_size dec_dilations depth dilation dilations embed_dim embed_dims '
    'enc_dilations end_level expansion feature_strides filters grid groups image_size img_size '
    'in_channels in_index input kernel_size max_size multi_grid num_channels num_classes '
    'num_groups num_heads num_parameters out_channels out_indices output_stride padding '
    'patch_size patch_sizes pool_scales pretrain_img_size radix rate reduction_factor scale '
    'short_connections side_channels side_kernels size size_divisor sr_ratios start_level '
    'stem_channels stem_patch_size stride strides version window_size',
    # How many layers: each takes time to make.
    nested(whole(0, 200)): 'dec_num_convs depths enc_num_convs num_blocks num_branches num_convs '
    'num_layers num_modules num_outs num_stages',
    nested(NUMBER): 'attn_drop_rate bias divisor drop_path_rate drop_rate dropout_ratio eps img '
    'layer_scale_init_value max_value mean min_value mlp_ratio momentum negative_slope qk_scale '
    'rescales scale_factor scales seg seg_pad_val std threshold weights widen_factor',
    Kind('false', lambda value: value is False): 'pretrained',
    # Looked up in a table of the class's, in timm's, and among the encoder's modules.
    nested(NAME): 'arch model_name features',
    words('cv2 pillow'): 'backend',
    words('BASIC BOTTLENECK'): 'block',
    words('sparsemask.dpc'): 'format',
    words('multiple_select resize_concat'): 'input_transform',
    words('area bicubic bilinear box hamming lanczos nearest'): 'interpolation',
    words('bicubic bilinear nearest'): 'interpolate_mode',
    words('bicubic bilinear nearest slide whole'): 'mode',
    words('conv1x1 pool sep3x3'): 'op',
    words('constant edge reflect symmetric'): 'padding_mode',
    words('grid window'): 'pooling',
    words('caffe pytorch'): 'style',
    part(*ACTIVATIONS): 'act_cfg',
    part(*BACKBONES): 'backbone',
    each(part(None)): 'branches',
    _cell: 'cell',
    check_connections: 'connections',
    part(None): 'connectivity extra stage1 stage2 stage3 stage4 test_cfg',
    part(*CONVOLUTIONS): 'conv_cfg',
    part(*PREPROCESSORS): 'data_preprocessor',
    part(*HEADS): 'decode_head',
    part(*NECKS): 'neck',
    part(*NORMS): 'norm_cfg',
    _padding: 'pad_val',
    _stages: 'stages',
    part(*UPSAMPLINGS): 'upsample_cfg',
    each(TEXT, 10_000): 'classes',
    each(COLOUR, 10_000): 'palette',
}

#: What each setting has to be. None, which stands for "not given", is allowed of all.
KINDS: dict[str, Check] = {key: check for check, keys in _BY_KIND.items() for key in keys.split()}

#: Each raises a ValueError that names what is not in the lists.
check_model, check_head = part(*SEGMENTORS), part(*HEADS)
check_pipeline, check_classes = each(part(*TRANSFORMS)), part(None)
