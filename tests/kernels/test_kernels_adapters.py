"""The adapters of CuPy and PyCUDA, with these libraries faked: each launch runs in the shim."""

import sys
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import shim_device
from cuda_text import functions
from kernel_cases import check
from shim_device import SMALL, ShimDevice, build

from imgproc.operations.cuda.programs import cuda_source

pytestmark = pytest.mark.skipif(shim_device.COMPILER is None, reason="there is no g++ here")

STREAM = object()


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return ShimDevice(build(tmp_path_factory.mktemp("kernels"), SMALL), SMALL)


class ShimKernel:
    """Checks the arguments of a launch and passes them to the shim."""

    def __init__(self, shim, name):
        self.shim, self.name = shim, name

    def run(self, grid, block, shared, arguments):
        passed = []
        for parameter, argument in zip(functions()[self.name].parameters, arguments, strict=True):
            if parameter.is_array:
                kind = parameter.type.removeprefix("const ")
                passed.append(argument.view(shim_device._DTYPES[kind]))
            else:
                assert type(argument) is np.int32
                passed.append(int(argument))
        assert len(block) - block.count(1) <= 1 and len(grid) == 2
        self.shim.launch(self.name, grid, block[0], shared, *passed)


class Stream:
    """Notes whether it is the current one."""

    current = 0
    waits = 0

    def __init__(self, non_blocking=False):
        assert non_blocking

    def __enter__(self):
        Stream.current += 1

    def __exit__(self, *error):
        Stream.current -= 1

    def synchronize(self):
        Stream.waits += 1


class CupyArray:
    """So much of cupy.ndarray as is used."""

    def __init__(self, host):
        self.host = host

    def __getitem__(self, part):
        return CupyArray(self.host[part])

    def set(self, host, stream):
        assert isinstance(stream, Stream) and host.shape == self.host.shape and host.dtype == self.host.dtype
        self.host[:] = host

    def get(self, stream, out, blocking):
        assert isinstance(stream, Stream) and not blocking and out.shape == self.host.shape
        out[:] = self.host

    def view(self, dtype):
        assert self.host.dtype == dtype
        return self.host


def cupy(shim):
    def raw_module(code, backend):
        assert code == cuda_source(SMALL) and backend == "nvrtc"

        def function(name):
            def call(grid, block, arguments, shared_mem):
                assert Stream.current == 1
                ShimKernel(shim, name).run(grid, block, shared_mem, arguments)

            return call

        return SimpleNamespace(get_function=function)

    def empty(count, dtype):
        assert Stream.current == 1
        return CupyArray(np.empty(count, dtype))

    gpu = SimpleNamespace(attributes={"MultiProcessorCount": 2})
    fake = ModuleType("cupy")
    fake.__dict__.update(
        empty=empty, RawModule=raw_module, cuda=SimpleNamespace(Device=lambda: gpu, Stream=Stream), ndarray=CupyArray
    )
    return {"cupy": fake}


def pycuda(shim):
    class Allocation:
        def __init__(self, size):
            self.bytes = np.empty(size, np.uint8)

        def view(self, dtype):
            return self.bytes.view(dtype)

    def source_module(text, no_extern_c):
        assert text == cuda_source(SMALL) and no_extern_c

        def function(name):
            def call(*arguments, grid, block, shared, stream):
                assert isinstance(stream, SimpleNamespace)
                ShimKernel(shim, name).run(grid, block, shared, arguments)

            return call

        return SimpleNamespace(get_function=function)

    def to_device(array, host, stream):
        array.bytes[: host.nbytes] = host.view(np.uint8)

    def to_host(host, array, stream):
        host.view(np.uint8)[:] = array.bytes[: host.nbytes]

    driver = ModuleType("pycuda.driver")
    gpu = SimpleNamespace(get_attribute=lambda kind: {"processors": 2}[kind])
    driver.__dict__.update(
        Context=SimpleNamespace(get_device=lambda: gpu),
        device_attribute=SimpleNamespace(MULTIPROCESSOR_COUNT="processors"),
        Stream=lambda: SimpleNamespace(synchronize=lambda: None),
        mem_alloc=Allocation,
        memcpy_htod_async=to_device,
        memcpy_dtoh_async=to_host,
    )
    package, compiler = ModuleType("pycuda"), ModuleType("pycuda.compiler")
    package.driver, compiler.SourceModule = driver, source_module
    return {"pycuda": package, "pycuda.driver": driver, "pycuda.compiler": compiler}


@contextmanager
def faked(modules, name):
    """The adapter's module, imported with these in place of its library."""
    before = {key: sys.modules.pop(key, None) for key in (*modules, name)}
    sys.modules.update(modules)
    try:
        yield import_module(name)
    finally:
        for key, module in before.items():
            sys.modules.pop(key, None)
            if module is not None:
                sys.modules[key] = module


@pytest.mark.parametrize(("library", "device"), [(cupy, "CupyDevice"), (pycuda, "PycudaDevice")])
def test_an_adapter_gives_opencvs_pixels(shim, library, device):
    with faked(library(shim), f"imgproc.operations.cuda.{library.__name__}_device") as adapter:
        made = getattr(adapter, device)(SMALL)
        assert made.processors == 2
        assert check(made, 40, 25, largest=30) == 75
    assert Stream.current == 0
