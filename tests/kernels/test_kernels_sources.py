"""The two sources of the kernels say the same, and CUDA's own compiler takes the one in C."""

import ast
import ctypes
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from cuda_text import NUMBA, functions

from imgproc.operations.cuda.device import Sizes
from imgproc.operations.cuda.programs import cuda_source


def test_both_have_the_same_functions_with_the_same_parameters():
    made = [node for text in NUMBA.values() for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    for_numba = {
        node.name: (ast.unparse(node.decorator_list[0]) == "cuda.jit", [each.arg for each in node.args.args])
        for node in made
    }
    in_c = {
        name: (function.is_kernel, [parameter.name for parameter in function.parameters])
        for name, function in functions().items()
    }
    assert for_numba["stage"][1][-2:] == ["thread", "threads"]  # which the one in C knows
    del for_numba["stage"][1][-2:]
    for name in re.findall(r"\w*dot[24]", next(iter(NUMBA.values()))):
        in_c.pop(name, None)  # for Numba they are instructions by another name
    assert list(for_numba.items()) == list(in_c.items())
    kernels = [name for name, (is_kernel, _) in in_c.items() if is_kernel]
    assert kernels == ["edges", "join", "draw", "blur", "histogram", "look_up", "luma_histogram", "luma_look_up"]


def test_the_fixed_sizes_are_those_in_the_source():
    text = cuda_source(Sizes(copies=5, blur_words=7, narrow_words=3, edge_pixels=96))
    assert text.startswith("#define COPIES 5\n#define BLUR_WORDS 7\n#define NARROW_WORDS 3\n#define EDGE_PIXELS 96\n")
    for name, value in Sizes().fixed.items():
        assert f"#ifndef {name}\n#define {name} {value}\n" in text


def nvrtc() -> Path | None:
    """CUDA's compiler in the package nvidia-cuda-nvrtc-cu12 (or its later ones, by another name)."""
    roots = find_spec("nvidia").submodule_search_locations if find_spec("nvidia") else []
    found = [path for root in roots or [] for path in Path(root).glob("*/lib/libnvrtc.so.*")]
    return next((path for path in found if ".alt." not in path.name), None)


@pytest.mark.skipif(sys.platform != "linux", reason="the compiler is looked for on Linux only")
@pytest.mark.skipif(nvrtc() is None, reason="nvidia-cuda-nvrtc-cu12 is not installed")
@pytest.mark.parametrize("architecture", ["sm_75", "sm_90"])
def test_nvrtc_compiles_the_source(architecture):
    code, log, binary = compile_for(architecture, cuda_source(Sizes()))
    assert (code, log) == (0, "")
    assert all(name.encode() in binary for name, function in functions().items() if function.is_kernel)


@pytest.mark.skipif(nvrtc() is None, reason="nvidia-cuda-nvrtc-cu12 is not installed")
def test_nvrtc_tells_what_it_does_not_take():
    code, log, _ = compile_for("sm_90", cuda_source(Sizes()) + "\nvoid broken() { nothing(); }")
    assert code != 0
    assert 'identifier "nothing" is undefined' in log


def compile_for(architecture: str, text: str) -> tuple[int, str, bytes]:
    """The compiler's answer, what it says, and the program for the GPU."""
    library = ctypes.CDLL(str(nvrtc()))
    program, size = ctypes.c_void_p(), ctypes.c_size_t()

    def found(kind: str) -> bytes:
        assert getattr(library, f"nvrtcGet{kind}Size")(program, ctypes.byref(size)) == 0
        buffer = ctypes.create_string_buffer(size.value)
        assert getattr(library, f"nvrtcGet{kind}")(program, buffer) == 0
        return buffer.raw

    assert library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None) == 0
    options = (ctypes.c_char_p * 1)(f"--gpu-architecture={architecture}".encode())
    code = library.nvrtcCompileProgram(program, 1, options)
    log = found("ProgramLog").rstrip(b"\0").decode().strip()
    binary = found("CUBIN") if code == 0 else b""
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return code, log, binary
