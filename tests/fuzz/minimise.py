#!/usr/bin/env python3
"""Reduces the corpora in git to at most 25 seeds a target. Run it after a fuzzing session that found new inputs:

    cargo fuzz run -s none --fuzz-dir tests/fuzz request    # for each target of interest; adds inputs to its corpus
    tests/fuzz/minimise.py request                          # without arguments: all targets
    cargo test -p tests --test corpus                       # replays the seeds

Needs cargo-fuzz on the PATH. libFuzzer reports the features (edges, comparisons, counters) that each input reaches. The
script keeps the input with the most new features until 25 are kept or no input adds one; of equal inputs, the shorter one,
and one with a name of its own before one named by the fuzzer. An empty input reaches no feature of its own and is kept.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

SEEDS_MAX = 25
FUZZ = pathlib.Path(__file__).resolve().parent
CORPUS = FUZZ / "corpus"


def features(target, folder):
    """The features of each input of a folder, by its path."""
    with tempfile.TemporaryDirectory() as scratch:
        control = pathlib.Path(scratch) / "control"
        output = pathlib.Path(scratch) / "output"
        output.mkdir()
        merge = ["-merge=1", "-set_cover_merge=1", f"-merge_control_file={control}", output, folder]
        command = ["cargo", "fuzz", "run", "-s", "none", "--fuzz-dir", FUZZ, target, "--", *merge]
        subprocess.run(command, cwd=FUZZ, check=True, stdout=subprocess.DEVNULL)
        # The file: the number of inputs, the number of inputs in the output, the inputs, then one "FT" line for each.
        lines = control.read_text().splitlines()
        count = int(lines[0])
        inputs = [pathlib.Path(line) for line in lines[2 : 2 + count]]
        reached = (line.split() for line in lines[2 + count :] if line.startswith("FT "))
        return {inputs[int(index)]: set(found) for _, index, *found in reached}


def choose(reached):
    """The inputs to keep."""
    kept, covered = [], set()
    while reached and len(kept) < SEEDS_MAX:
        def rank(path):
            named_by_fuzzer = bool(re.fullmatch(r"[0-9a-f]{16,40}", path.name))
            return -len(reached[path] - covered), path.stat().st_size, named_by_fuzzer, path.name

        best = min(reached, key=rank)
        gain = reached.pop(best) - covered
        if not gain:
            break
        kept.append(best)
        covered |= gain
    return kept


def main():
    targets = sys.argv[1:] or sorted(path.name for path in CORPUS.iterdir())
    for target in targets:
        inputs = sorted((CORPUS / target).iterdir())
        empty = [path for path in inputs if path.stat().st_size == 0][:1]
        kept = [*empty, *choose(features(target, CORPUS / target))][:SEEDS_MAX]
        for path in inputs:
            if path not in kept:
                path.unlink()
        print(f"{target}: kept {len(kept)} of {len(inputs)} inputs", flush=True)


if __name__ == "__main__":
    main()
