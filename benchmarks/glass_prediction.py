"""What predicting a glass costs as it grows: seconds and memory from 10,000 to a million atoms.

The published glass of 10,000 atoms is repeated, every atom displaced at random, and predicted by a
trained model. Each size runs in a process of its own, so that its peak memory is its own.

    python benchmarks/glass_prediction.py MODEL [--workers 2] [--sizes 1x1x1 2x2x2 3x3x3 5x4x5]

MODEL is a model's folder or a glass project. The glass is read from BONDWRIGHT_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GLASS = "glass-zrcual/ultimate/Zr49Cu49Al2-10000-1-1-1.data"
SEED, DISPLACEMENT_A = 0, 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--block-atoms", type=int, default=3000)
    parser.add_argument("--sizes", nargs="+", default=["1x1x1", "2x2x2", "3x3x3", "5x4x5"])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options)))
        return
    first = None
    for size in options.sizes:
        command = [sys.executable, __file__, str(options.model), "--one", size]
        command += ["--workers", str(options.workers), "--block-atoms", str(options.block_atoms)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        first = first or found["us_per_atom"]
        print(
            f"{size:>6} {found['atoms']:>9,} atoms {found['bonds']:>10,} bonds "
            f"{found['seconds']:8.1f} s wall {found['cpu_seconds']:8.1f} s CPU "
            f"{found['us_per_atom']:7.0f} us CPU per atom ({found['us_per_atom'] / first:.2f} of "
            f"the first) peak {found['driver_mb']:6.0f} + workers {found['workers_mb']:6.0f} MiB, "
            f"{found['disk_mb']:6.0f} MiB of results",
            flush=True,
        )


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Predict one size and return what it cost; memory of the driver and of all workers (RSS)."""
    import resource
    import threading

    import numpy as np
    import psutil

    from bondwright.campaign.glass.costs import cpu_seconds
    from bondwright.campaign.glass.predict import PredictionSettings, predict_frames
    from bondwright.campaign.glass.predict_model import model_folder, open_model
    from bondwright.glasses.lammps_files import Frame, read_data

    data = os.environ.get("BONDWRIGHT_DATA", Path(__file__).parent / "../../shared/data")
    cell = read_data(Path(data) / GLASS)
    atoms = cell.repeat([int(n) for n in options.one.split("x")])
    shift = np.random.default_rng(SEED).normal(0, DISPLACEMENT_A, (len(atoms), 3))
    atoms.positions += shift
    model = open_model(model_folder(options.model))
    workers = [0.0]
    stop = threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not stop.wait(0.5):
            total = 0
            for child in me.children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.Error:
                    continue
            workers[0] = max(workers[0], total / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, cpu = time.monotonic(), cpu_seconds()
    with tempfile.TemporaryDirectory(prefix="bondwright-") as folder:
        settings = PredictionSettings(options.block_atoms, options.workers)
        frame = Frame(0, atoms, np.arange(1, len(atoms) + 1))
        (summary,) = predict_frames([frame], model, Path(folder), settings)
        disk = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file()) / 2**20
    seconds, cpu = time.monotonic() - began, cpu_seconds() - cpu
    stop.set()
    watcher.join()
    return {
        "atoms": len(atoms),
        "bonds": summary["bonds"],
        "seconds": seconds,
        "cpu_seconds": cpu,
        "us_per_atom": 1e6 * cpu / len(atoms),
        "driver_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "workers_mb": workers[0],
        "disk_mb": disk,
    }


if __name__ == "__main__":
    main()
