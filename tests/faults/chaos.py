"""make chaos: kill extractions, at random moments and at every step that they take, and look for a difference.

python -m tests.faults.chaos --kills 200 --seed 0 [--every 1]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import scenarios
from tests.faults.lab import Lab, differences, kind, leftovers
from tests.faults.scenarios import Scenario

PAUSE = 0.15  # seconds that a clip takes, so that most of a run's time is not its start


@dataclass
class Report:
    """What kills did. hit: where they struck, by the last step in the killed run's log."""

    kills: int = 0
    rounds: int = 0
    leftovers: int = 0
    hit: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def sample(scenario: Scenario, per_kind: int, seed: str, *, writes: bool) -> list[int]:
    """Some steps of each kind. writes: only steps that a write follows, which can be torn."""
    rng = random.Random(seed)
    found: dict[str, list[int]] = {}
    last = max(n for n, line in enumerate(scenario.steps, 1) if line.startswith("open "))
    for number, line in enumerate(scenario.steps, 1):
        if number <= last or not writes:
            found.setdefault(kind(line), []).append(number)
    return sorted(n for numbers in found.values() for n in rng.sample(numbers, min(per_kind, len(numbers))))


def randomly(folder: Path, kills: int, seed: int, per_round: int = 20) -> Report:
    """Kill `mepipe extract` and its workers at random moments; complete and compare, round by round."""
    rng = random.Random(seed)
    report = Report()
    lab = Lab(folder / "lab", black=True)
    store, log = folder / "s", folder / "log"
    lab.complete(folder / "whole")
    command = [sys.executable, "-m", "mepipe", *lab.extraction(store, "-j", 2)]
    fault = json.dumps({"store": str(store), "at": 0, "log": str(log)})
    environment = lab.environment(LAB_PAUSE=PAUSE, LAB_FAULT=fault)
    while report.kills < kills and not report.wrong:
        shutil.rmtree(store, ignore_errors=True)
        report.rounds += 1
        for _ in range(min(rng.randint(1, per_round), kills - report.kills)):
            log.write_bytes(b"")
            process = subprocess.Popen(
                command,
                env=environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            goals = ("chunk", "ledger", "ref") if list(store.glob("*@*/*/data")) else ("skeleton", "ref")
            if not _strike(process, log, rng, goals):
                break  # nothing left to kill: the round is over
            report.kills += 1
            lines = log.read_text().splitlines()
            report.hit[kind(lines[-1]) if lines else "before the store"] += 1
        lab.complete(store)
        checked = lab.run("store", "verify", "--deep", "--store", store)
        report.wrong += differences(folder / "whole", store) + ([] if checked.status == 0 else [checked.text])
        report.leftovers += len(leftovers(store))
    lab.close()
    return report


def _strike(process: subprocess.Popen[bytes], log: Path, rng: random.Random, goals: tuple[str, ...]) -> bool:
    """Kill a run and its workers a moment after so many steps of a kind, all chosen by chance; False if it ended."""
    goal, steps, moment = rng.choice(goals), int(2 ** rng.uniform(0, 4)), rng.expovariate(1 / 0.005)
    steps *= 15 if goal == "skeleton" else 1
    while process.poll() is None and sum(kind(line) == goal for line in log.read_text().splitlines()) < steps:
        time.sleep(0.001)
    time.sleep(moment)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() < 0


def by_step(folder: Path, every: int, seed: int) -> Report:
    """Kill at every so many steps of every scenario, and tear the write that follows."""
    report = Report()
    rng = random.Random(seed)
    lab = Lab(folder / "steps", black=True)
    for make in scenarios.ALL.values():
        scenario = make(lab)
        last = max(sample(scenario, len(scenario.steps), "", writes=True))
        for step in range(1 + rng.randrange(every), len(scenario.steps) + 1, every):
            for length in (None, *([rng.choice((0, 1, 21, 100))] if step <= last else [])):
                wrong = scenario.kill(folder / "s", step, length)
                report.kills += 1
                report.hit[f"{scenario.name}: {kind(scenario.steps[step - 1])}"] += 1
                where = f"{scenario.name}, step {step} ({scenario.steps[step - 1]}), {length}"
                report.wrong += [f"{where}: {w}" for w in wrong]
    lab.close()
    return report


def main() -> None:
    """Exit status 1: a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="at random moments")
    parser.add_argument("--every", type=int, default=4, help="and at every so many steps; 0: at none")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for name, run in {
            "random moments": lambda: randomly(Path(folder), given.kills, given.seed),
            "single steps": lambda: by_step(Path(folder), given.every, given.seed) if given.every else Report(),
        }.items():
            start = time.monotonic()
            report = run()
            wrong += report.wrong
            hits = ", ".join(f"{where} {n}" for where, n in report.hit.most_common())
            sys.stdout.write(
                f"{name}: seed {given.seed}, {report.kills} kills in {report.rounds or report.kills} stores, "
                f"{time.monotonic() - start:.0f} s; hit {hits}; {report.leftovers} leftovers; "
                f"{len(report.wrong)} differences\n"
            )
            sys.stdout.flush()
    for line in wrong:
        sys.stdout.write(f"DIFFERENCE: {line}\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
