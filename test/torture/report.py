"""report.py SECONDS REPORT...: what the seeds did, in all"""
import collections
import json
import sys

totals, faults, ended, seeds = collections.Counter(), collections.Counter(), collections.Counter(), []
for path in sys.argv[2:]:
    with open(path) as f:
        report = json.load(f)
    seeds.append(report["seed"])
    totals.update({name: report.get(name, 0) for name in ("operations", "keys", "undecided", "violations")})
    totals["stores compared"] += report["dumps_equal"]
    faults.update(report["faults"])
    ended.update(report["ended"])
seeds.sort()
print(f"# seeds {seeds[0]} to {seeds[-1]} ({len(seeds)}), {sys.argv[1]} s: " if seeds else "# no seed came to its end: ", end="")
print(", ".join(f"{name} {totals[name]}" for name in totals))
print("# faults: " + ", ".join(f"{kind} {faults[kind]}" for kind in sorted(faults)))
print("# operations: " + ", ".join(f"{kind} {ended[kind]}" for kind in sorted(ended)))
