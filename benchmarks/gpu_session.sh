#!/usr/bin/env bash
# What only a GPU can show, in under 12 minutes on a CUDA machine with Python, PyTorch and no network:
#
#     benchmarks/gpu_session.sh [--rehearse] [--libraries FOLDER] OUTPUT
#
# FOLDER holds what is carried along: wheels (*.whl) of edge-hoi's dependencies and its [build] extra but PyTorch, of pytest, pytest-timeout,
# cuda-bindings, the TensorRT bindings and, where wanted, torch-tensorrt; and the jar (*.jar) with TensorRT's libraries: docs/tensorrt.md
# says which. OUTPUT receives a log for each step and summary.md. A step that fails or exceeds its time does not stop the others; the exit status is then 1.
# --rehearse runs every step small on a CPU: the code is the same, the figures mean nothing.
set -uo pipefail

rehearsal="" libraries="" output=""
while [ $# -gt 0 ]; do
    case "$1" in
        --rehearse) rehearsal=1 ;;
        --libraries)
            libraries=$(realpath -- "${2:?--libraries needs a folder}") || exit 2
            shift
            ;;
        -*)
            echo "unknown option $1; usage: $0 [--rehearse] [--libraries FOLDER] OUTPUT" >&2
            exit 2
            ;;
        *) output=$1 ;;
    esac
    shift
done
: "${output:?usage: $0 [--rehearse] [--libraries FOLDER] OUTPUT}"
mkdir -p "$output" || exit 2
output=$(realpath -- "$output")
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 XDG_CACHE_HOME="$output/cache"
export PYTHONPATH="$PWD:$output/site${PYTHONPATH:+:$PYTHONPATH}"
export LD_LIBRARY_PATH="$output/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

failed=0
printf '| step | result | seconds | limit |\n|---|---|---:|---:|\n' >"$output/summary.md"

# step NAME LIMIT COMMAND...: run a command for at most LIMIT seconds; its output goes to NAME.log.
step() {
    local name=$1 limit=$2 began=$SECONDS status result=ok
    shift 2
    echo "== $name, at most $limit s"
    timeout --kill-after=10 "$limit" "$@" >"$output/$name.log" 2>&1
    status=$?
    if [ $status -eq 124 ] || [ $status -eq 137 ]; then result="over its time"; elif [ $status -ne 0 ]; then result="failed ($status)"; fi
    [ "$result" = ok ] || failed=1
    tail -n 3 -- "$output/$name.log"
    echo "| $name | $result | $((SECONDS - began)) | $limit |" >>"$output/summary.md"
}

# shellcheck disable=SC2329  # called by `bash -c`
unpack() {
    shopt -s nullglob
    local wheels=("$libraries"/*.whl) jars=("$libraries"/*.jar)
    mkdir -p "$output/site" "$output/lib"
    if [ ${#wheels[@]} -gt 0 ]; then
        "$python" -m pip install -q --no-index --no-deps --no-compile --target "$output/site" "${wheels[@]}" || return
    fi
    for jar in "${jars[@]}"; do
        "$python" - "$jar" "$output/lib" <<'PYTHON' || return
import sys, zipfile
from pathlib import Path

with zipfile.ZipFile(sys.argv[1]) as jar:
    for member in jar.namelist():
        name = Path(member).name
        if ".so" in name and name.startswith(("libnvinfer", "libnvonnxparser")):
            (Path(sys.argv[2]) / name).write_bytes(jar.read(member))
PYTHON
    done
}
has() { "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"; }

if [ -n "$libraries" ]; then
    export -f unpack
    export libraries output python
    step libraries 60 bash -c unpack
fi

engines=(--backend tensorrt)
contract=(-m gpu -k "not fake")
compile=(--backend torch-tensorrt --batch 4)
load=(--backend torch-tensorrt --batch 1 --batch 4 --rounds 3)
if [ -n "$rehearsal" ]; then
    engines=(--backend openvino --device cpu --variant tiny --size 96x160 --batch 1 2 --rounds 1 --cameras 2 --frames 20 --compiler eager)
    contract=(-k "fake and names_shapes")
    compile=(--backend openvino)
    load=(--batch 1 --rounds 1 --no-eager)
else
    export EDGE_HOI_REQUIRE_GPU=1
    for module in tensorrt_rtx torch_tensorrt; do # what is not carried along is left out, and TensorRT is not
        has "$module" || contract[3]+=" and not ${module/_/-}"
    done
fi

step doctor 35 "$python" -m edge_hoi.cli doctor
step contract 150 "$python" -m pytest -q -o addopts= -p no:cacheprovider tests/runtime/test_engine_contract.py tests/runtime/test_gpu.py \
    "${contract[@]}"
# torch-tensorrt: the build compiles and saves, `bench` loads and runs, and compiles for batches of 1; no file of the engine is a pickle.
if [ -n "$rehearsal" ] || has torch_tensorrt; then
    step torch-tensorrt-build 100 "$python" -m edge_hoi.cli build untrained:tiny --output "$output/torch-tensorrt" --size 96x160 \
        --no-text-tower "${compile[@]}"
    step torch-tensorrt-pickles 10 env PYTHONPATH="tests/export:$PYTHONPATH" "$python" -c 'if True:
        import sys
        from pathlib import Path
        from test_no_pickles import holds_pickles
        files = {path: holds_pickles(path) for path in sorted(Path(sys.argv[1]).rglob("*")) if path.is_file()}
        print(*(f"{path}: {pickle}" for path, pickle in files.items()), sep="\n")
        sys.exit(any(files.values()) or not files)' "$output/torch-tensorrt"
    step torch-tensorrt-run 55 "$python" -m edge_hoi.cli bench "$output/torch-tensorrt" "${load[@]}"
else
    echo "| torch-tensorrt | left out: not carried along | | |" >>"$output/summary.md"
fi
step engines 300 "$python" benchmarks/engines_gpu.py --folder "$output/engines" --output "$output/engines.md" "${engines[@]}"

[ -z "$rehearsal" ] || printf '\nA rehearsal on a CPU: the figures mean nothing.\n' >>"$output/summary.md"
cat "$output/summary.md"
[ ! -f "$output/engines.md" ] || cat "$output/engines.md"
exit $failed
