"""A real CUDA device: device and pinned memory, queued copies, and recorded work."""

import numpy as np
import pytest
from gpu_presence import need_cuda

from edge_hoi.errors import EngineError
from edge_hoi.runtime.gpu import Gpu

pytestmark = pytest.mark.gpu


@pytest.fixture
def gpu():
    need_cuda()
    found = Gpu("tensorrt")
    yield found
    found.close()


def round_trip(gpu, source):
    """Return a function that queues copies to the device and back, and the array that they end in."""
    address, target = gpu.memory(source.nbytes), gpu.pinned(source.shape, source.dtype)

    def queue():
        gpu.upload(address, source)
        gpu.download(target, address)

    return target, queue


def test_the_device_reports_its_name_and_capability(gpu):
    major, minor = gpu.compute_capability.split(".")
    assert int(major) >= 5
    assert minor.isdigit()
    assert gpu.name.isprintable()
    assert gpu.name


def test_copies_to_the_device_and_back_keep_the_values(gpu):
    source = gpu.pinned((3, 5, 7), np.dtype(np.float32))
    source[:] = np.random.default_rng(1).standard_normal(source.shape)
    target, queue = round_trip(gpu, source)
    queue()
    gpu.wait()
    assert np.array_equal(target, source)


def test_recorded_work_reads_the_memory_at_launch(gpu):
    source = gpu.pinned((1024,), np.dtype(np.float32))
    target, queue = round_trip(gpu, source)
    launch = gpu.record(queue)
    for number in (1, 2):
        source[:] = number
        launch()
        gpu.wait()
        assert (target == number).all()


def test_work_that_cannot_be_recorded_leaves_the_stream_usable(gpu):
    source = gpu.pinned((16,), np.dtype(np.float32))
    target, queue = round_trip(gpu, source)
    with pytest.raises(EngineError, match="CUDA's cudaStreamSynchronize fails"):
        gpu.record(gpu.wait)  # a stream that is recorded cannot be waited for
    source[:] = 3
    queue()
    gpu.wait()
    assert (target == 3).all()


def test_out_of_memory_is_an_error_and_smaller_allocations_still_work(gpu):
    with pytest.raises(EngineError, match="CUDA's cudaMalloc fails: out of memory; check with nvidia-smi what else uses the GPU"):
        gpu.memory(1 << 50)
    assert gpu.memory(1 << 20)


def test_closing_frees_the_memory(gpu):
    size = 256 << 20
    other = Gpu("tensorrt")
    before = gpu.call("cudaMemGetInfo")
    other.memory(size)
    taken = gpu.call("cudaMemGetInfo")
    assert before - taken >= size
    other.close()
    other.close()
    assert gpu.call("cudaMemGetInfo") - taken >= size
