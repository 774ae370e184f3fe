#!/usr/bin/env bash
# bench/device/build.sh [FOLDER]: all that run.sh needs on a machine with a card, in a folder that can be copied there
# (default build/device-suite). Programs bring their C++ library; nothing of CUDA, Node or Python is in it.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
native=$repository/build/native
suite=${1:-$repository/build/device-suite}
most_bytes=$((40 << 20))

for file in lorikeet_ops_test liblorikeet_cuda.a; do
  [ -e "$native/$file" ] || { echo "$native/$file is missing: build the native engine with its tests (npm test)" >&2; exit 1; }
done
mkdir -p "$suite"
libraries=()
for part in model reference cpu cuda shared; do libraries+=("$native/liblorikeet_$part.a"); done
for program in device_probe device_counters; do
  "${CXX:-c++}" -std=c++20 -O2 -static-libstdc++ -static-libgcc -I"$repository/native" "$repository/bench/device/$program.cc" \
    -Wl,--start-group "${libraries[@]}" -Wl,--end-group -ldl -pthread -o "$suite/$program"
done
cp "$native/lorikeet_ops_test" "$suite/"
cp "$repository/bench/device/run.sh" "$repository/bench/device/transformers_step.py" "$suite/"
if [ -e "$native/libcuda_sim.so" ]; then cp "$native/libcuda_sim.so" "$suite/"; fi # for --dry
strip "$suite"/device_probe "$suite"/device_counters "$suite"/lorikeet_ops_test
bytes=$(du -sb "$suite" | cut -f1)
if [ "$bytes" -gt "$most_bytes" ]; then echo "$suite holds $bytes bytes, more than $most_bytes" >&2; exit 1; fi
echo "$suite: $bytes bytes"
