#!/bin/sh
# GraphSAGE on a GPU beside the processor; needs PyTorch, PyTorch Geometric and NumPy, and nothing else of ours.
set -eu
cd "$(dirname "$0")/.."
exec "${PYTHON:-python3}" benchmarks/gpu.py "$@"
