#!/usr/bin/env bash
# run.sh [--dry] [--skip PHASE,PHASE] [--out FOLDER]: measures and checks the CUDA backend on the card of this machine, in at most 400 s.
# Each phase is a process of its own with an end to its time; each case is one line of JSON in FOLDER/results.jsonl as soon as it is known, so
# that what is killed loses only what it had not done; a table comes last. --dry runs all of it small on the simulated driver.
# Ends with 1 if a phase failed. build.sh makes the folder that this runs in.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dry= skip=, out=$PWD/device-results
while [ $# -gt 0 ]; do
  case $1 in
    --dry) dry=dry ;;
    --skip) skip=",$2,"; shift ;;
    --out) out=$2; shift ;;
    *) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
  esac
  shift
done
mkdir -p "$out"
results=$out/results.jsonl
: > "$results"
if [ -n "$dry" ]; then
  export LORIKEET_CUDA_DRIVER=$here/libcuda_sim.so LORIKEET_SIM_RACES=off
fi
left_s=400
failed=0

# record PHASE STATUS SECONDS [REASON]
record() {
  printf '{"phase": "%s", "status": "%s", "seconds": %s, "reason": "%s"}\n' "$1" "$2" "$3" "${4:-}" >> "$results"
}

# phase NAME SECONDS COMMAND...: its lines that are JSON are its cases, the rest is its log.
phase() {
  local name=$1 limit_s=$2 begin=$SECONDS code status
  shift 2
  if [[ $skip == *",$name,"* ]]; then record "$name" skipped 0 'by --skip'; return; fi
  [ "$limit_s" -le "$left_s" ] || limit_s=$left_s
  if [ "$limit_s" -lt 5 ]; then record "$name" skipped 0 'no time was left'; return; fi
  timeout -k 5 "$limit_s" "$@" 2>> "$out/$name.log" | while IFS= read -r line; do
    case $line in
      '{"case": '*) printf '{"phase": "%s", %s\n' "$name" "${line#\{}" >> "$results" ;;
      *) printf '%s\n' "$line" >> "$out/$name.log" ;;
    esac
  done
  code=${PIPESTATUS[0]}
  left_s=$((left_s - (SECONDS - begin)))
  case $code in
    0) status=done ;;
    124 | 137) status=timeout failed=1 ;;
    *) status=failed failed=1 ;;
  esac
  if [ "$status" = done ] && grep -q "^{\"phase\": \"$name\", .*\"ok\": false" "$results"; then status=failed failed=1; fi
  record "$name" "$status" $((SECONDS - begin)) "exit code $code"
}

# absent PHASE PROGRAM: says so and is true where there is no such program.
absent() {
  command -v "$2" > /dev/null && return 1
  record "$1" skipped 0 "there is no $2"
}

# Tests of the ops on the card: doctest's own exit code tells. Coded maps are not served on CUDA.
ops() {
  local said code summary ok=true
  said=$(LORIKEET_TEST_BACKENDS=cuda "$here/lorikeet_ops_test" -tce='*coded*,*delta net*' "$@")
  code=$?
  printf '%s\n' "$said"
  summary=$(sed -n 's/.*\(test cases:\)/\1/p' <<< "$said" | tr -s ' ')
  if [ "$code" != 0 ] || [ -z "$summary" ]; then ok=false code=1; fi
  printf '{"case": "%s", "ok": %s}\n' "${summary:-no test ran}" "$ok"
  return "$code"
}
export -f ops
export here

phase probe 60 "$here/device_probe" probe $dry
phase vectors 20 "$here/device_probe" vectors $dry
phase ceilings 30 "$here/device_probe" ceilings $dry
# On the simulator the whole of it runs in npm test.
phase conformance 90 bash -c "ops $([ -z "$dry" ] || echo "-tc='a quantized map multiplies*'")"
invariance='*same bits*,*alone*'
[ -z "$dry" ] || invariance='norm and glu rows*'
phase invariance 40 bash -c "ops -tc='$invariance'"
phase kernels 60 "$here/device_counters" time ${dry:+quick}
if ! absent sanitizer compute-sanitizer; then
  phase sanitizer 60 compute-sanitizer --error-exitcode 9 "$here/device_probe" vectors dry
fi
python=${PYTHON:-python3}
if ! absent transformers "$python"; then
  if "$python" -c 'import torch, transformers; assert torch.cuda.is_available()' 2> "$out/transformers.log"; then
    phase transformers 60 "$python" "$here/transformers_step.py"
  else
    record transformers skipped 0 'torch with CUDA, or transformers, is missing'
  fi
fi

echo
printf '%-14s %-9s %8s  %s\n' phase status seconds 'cases (failed)'
while IFS= read -r line; do
  name=$(sed 's/^{"phase": "\([^"]*\)".*/\1/' <<< "$line")
  status=$(sed 's/.*"status": "\([^"]*\)".*/\1/' <<< "$line")
  took_s=$(sed 's/.*"seconds": \([0-9]*\).*/\1/' <<< "$line")
  cases=$(grep -c "^{\"phase\": \"$name\", \"case\"" "$results")
  bad=$(grep -c "^{\"phase\": \"$name\", \"case\".*\"ok\": false" "$results")
  printf '%-14s %-9s %8s  %s (%s)\n' "$name" "$status" "$took_s" "$cases" "$bad"
done < <(grep '"status": ' "$results")
exit "$failed"
