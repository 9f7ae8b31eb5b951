"""A real CUDA device: memory of both sides, queued copies, and recorded work."""

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


def there_and_back(gpu, source):
    """Queue copies to the device and back, and give where they end."""
    address, target = gpu.memory(source.nbytes), gpu.pinned(source.shape)

    def queue():
        gpu.upload(address, source)
        gpu.download(target, address)

    return target, queue


def test_the_device_says_what_it_is(gpu):
    major, minor = gpu.compute_capability.split(".")
    assert int(major) >= 5
    assert minor.isdigit()
    assert gpu.name.isprintable()
    assert gpu.name


def test_what_goes_to_the_device_comes_back(gpu):
    source = gpu.pinned((3, 5, 7))
    source[:] = np.random.default_rng(1).standard_normal(source.shape)
    target, queue = there_and_back(gpu, source)
    queue()
    gpu.wait()
    assert np.array_equal(target, source)


def test_recorded_work_reads_what_is_there_when_it_is_launched(gpu):
    source = gpu.pinned((1024,))
    target, queue = there_and_back(gpu, source)
    launch = gpu.record(queue)
    for number in (1, 2):
        source[:] = number
        launch()
        gpu.wait()
        assert (target == number).all()


def test_work_that_cannot_be_recorded_leaves_the_stream_usable(gpu):
    source = gpu.pinned((16,))
    target, queue = there_and_back(gpu, source)
    with pytest.raises(EngineError, match="CUDA's cudaStreamSynchronize fails"):
        gpu.record(gpu.wait)  # a stream that is recorded cannot be waited for
    source[:] = 3
    queue()
    gpu.wait()
    assert (target == 3).all()


def test_more_memory_than_there_is_is_refused_and_less_still_given(gpu):
    with pytest.raises(EngineError, match="CUDA's cudaMalloc fails: out of memory; see what else uses the GPU"):
        gpu.memory(1 << 50)
    assert gpu.memory(1 << 20)


def test_closing_gives_the_memory_back(gpu):
    size = 256 << 20
    other = Gpu("tensorrt")
    before = gpu.call("cudaMemGetInfo")
    other.memory(size)
    taken = gpu.call("cudaMemGetInfo")
    assert before - taken >= size
    other.close()
    other.close()
    assert gpu.call("cudaMemGetInfo") - taken >= size
