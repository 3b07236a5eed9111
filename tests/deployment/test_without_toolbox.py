"""What runs an ONNX file, in a process that finds neither MMSegmentation nor torch."""

import shutil

import cv2
import numpy as np
from reference.without import TOOLBOX, run_without

from mmseg_sparsemask.deployment import OnnxPredictor

#: What this package needs elsewhere.
OTHERS = ('matplotlib', 'scipy', 'jinja2', 'yaml', 'tqdm', 'filelock', 'prettytable', 'safetensors')


def test_what_runs_onnx_files_needs_four_libraries(exported, tmp_path):
    onnx = exported['onnx'].path
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    (tmp_path / 'published').mkdir()
    shutil.copy(onnx, tmp_path / 'published/model.onnx')
    code = f"""
        import numpy as np
        from mmseg_sparsemask.connectivity import load, preset, save
        from mmseg_sparsemask.deployment import OnnxPredictor, load_predictor
        from mmseg_sparsemask.deployment.onnx_predictor import read_image
        from mmseg_sparsemask.deployment.overlay import overlay
        image = read_image({str(tmp_path / 'image.png')!r})
        for predictor in (
            load_predictor({str(onnx)!r}),
            OnnxPredictor({str(tmp_path / 'published')!r}, threads=1),
        ):
            labels = predictor(image)
            np.save({str(tmp_path / 'labels.npy')!r}, labels)
            drawn = overlay(image, labels, predictor.classes, predictor.palette)
            assert drawn.shape[0] > image.shape[0]
        save(preset('unet', [2, 4, 8]), {str(tmp_path / 'unet.json')!r})
        assert load({str(tmp_path / 'unet.json')!r}) == preset('unet', [2, 4, 8])
        try:
            load_predictor('net.pt2')
        except ImportError as error:
            print(error)
    """
    done = run_without([*TOOLBOX, *OTHERS], code)
    assert done.returncode == 0, done.stderr
    assert 'needs torch' in done.stdout
    assert (np.load(tmp_path / 'labels.npy') == OnnxPredictor(onnx)(image)).all()
