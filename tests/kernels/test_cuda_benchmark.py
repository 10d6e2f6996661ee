"""benchmarks/cuda.py on a GPU that is the CPU: its tables, and that it tells of a wrong pixel."""

import numpy as np
import pytest
import shim_device
import shim_gpu
from shim_device import SMALL, build

from benchmarks import cuda

pytestmark = pytest.mark.skipif(shim_device.COMPILER is None, reason="there is no g++ here")


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setattr(shim_gpu, "_library", build(tmp_path, SMALL))
    monkeypatch.setattr(shim_gpu, "gpu", shim_gpu.Gpu(1 << 30))
    monkeypatch.setattr(cuda, "ENOUGH", 0.0)
    return shim_gpu


def test_its_tables(library, capsys):
    few = ["--tables", "exact", "speed", "peers", "--images", "6", "--largest", "60", "--megapixels", "0.004"]
    assert cuda.main(few, {"shim": library}) == 0
    text = capsys.readouterr().out
    exact = [line for line in text.splitlines() if line.startswith("shim, ") and line.endswith("  0")]
    assert len(exact) == 3 and "No pixel of ours differs." in text
    speed = [line.split() for line in text.splitlines() if line.split()[1:3] == ["0.004", "1"]]
    assert [row[0] for row in speed] == ["canny", "gaussian", "equalize"]
    assert all(float(row[3]) > 0 and row[-1].endswith("%") for row in speed)
    ours = [line.split() for line in text.splitlines() if ", shim " in line]
    assert len(ours) == 3 and all(row[-1] == "0" for row in ours)


def test_a_wrong_pixel_is_told_and_fails(library, capsys, monkeypatch):
    right = cuda.reference

    def wrong(name, image, p):
        found = right(name, image, p).copy()
        found.flat[0] ^= np.uint8(255)
        return found

    monkeypatch.setattr(cuda, "reference", wrong)
    assert cuda.main(["--tables", "exact", "--images", "2", "--largest", "20"], {"shim": library}) == 1
    assert "6 PIXELS DIFFER" in capsys.readouterr().out


def test_it_says_why_it_cannot_run(monkeypatch):
    monkeypatch.setattr("imgproc.backends.gpu.nvidia.driver", lambda: None)
    with pytest.raises(SystemExit, match="There is no CUDA device here"):
        cuda.main(["--libraries", "cupy"])
    with pytest.raises(SystemExit, match="None of the GPU techniques can run here"):
        cuda.main([])
