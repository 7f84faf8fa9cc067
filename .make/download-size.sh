#!/usr/bin/env bash
# Measures the downloads of a first `make demo` and `make test` and writes .make/download-size.
set -euo pipefail
cd "$(dirname "$0")/.."
. .make/lib.sh
cpu_index=https://download.pytorch.org/whl/cpu
say "Measuring; this takes a few minutes."
{
    echo "# Megabytes (10^6 bytes) that a first start downloads, measured by 'make download-size' on $(date +%F)"
    echo "# for $(uname -sm), $(.venv/bin/python --version). -cuda: PyTorch as the default index gives it."
    # `===` leaves no room for a build tagged +cpu, so this is the default index's own.
    mapfile -t plain < <(grep -oE '^ +(torch|torchvision)==[^ ]+' setup.cfg | tr -d ' ' | sort -u | sed 's/==/===/')
    if answers .venv/bin/python "$cpu_index/torch/"; then export PIP_EXTRA_INDEX_URL=$cpu_index; fi
    cuda=$(IFS='|'; echo "${plain[*]}")
    # One test installs opencv-python by itself (tests/unit/test_opencv_gui_build.py).
    .venv/bin/python .make/download_size.py "demo=.[demo]" "demo-cuda=.[demo]|$cuda" \
        "test=.[test]|opencv-python" "test-cuda=.[test]|opencv-python|$cuda"
    # pip for Python 3.6 cannot report, so here the files are fetched.
    if [ -x .venv-nano/bin/python ]; then
        wheels=$(mktemp -d)
        .venv-nano/bin/python -m pip download -qq --no-cache-dir --only-binary :all: -d "$wheels" \
            pip==21.3.1 -r remote/jetson_nano/requirements.txt
        echo "nano = $(($(cat "$wheels"/* | wc -c) / 1000000))"
        rm -r "$wheels"
    fi
} >.make/download-size.new
mv .make/download-size.new .make/download-size
cat .make/download-size
