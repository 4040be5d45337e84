"""The table: printed row by row, and as Markdown into the file that BENCH_MARKDOWN names.

A figure of None is a dash: its reference's program is not installed, or nothing was there to compare.
"""
import os
import statistics

COLUMNS = (("work", 58), ("reference", 30), ("suite", 42), ("ratio", 6), ("goal", 22), ("cores taken", 0))
MARKDOWN = os.environ.get("BENCH_MARKDOWN")
DASH = "-"


def median(values):
    """Of those that are there; None if none is."""
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def text(value, form="{}"):
    return DASH if value is None else form.format(value)


class Report:
    def __init__(self):
        self.rows = []
        self.failures = 0

    def head(self):
        self._print([name for name, _ in COLUMNS])

    def row(self, work, goal, suite, reference="", ratio="", cpu=""):
        """Texts; an empty reference is one that the work has not."""
        self.rows.append([work, reference, suite, ratio, goal, cpu])
        self._print(self.rows[-1])
        if MARKDOWN:
            self._write()

    def pairs(self, work, goal, pairs, reference_form, suite_form, cpu=""):
        """A row from pairs (reference, suite) of runs: the medians, and the median of the ratios suite / reference. A reference of None is a
        dash."""
        reference, suite = median(r for r, _ in pairs), median(s for _, s in pairs)
        ratio = median(s / r for r, s in pairs if r)
        self.row(work, goal, text(suite, suite_form), text(reference, reference_form), text(ratio, "{:.2f}"), cpu)

    def failed(self, work, why):
        self.failures += 1
        self.row(work, "", f"FAILED: {why}")

    def _print(self, cells):
        print(" ".join(cell.ljust(width) for cell, (_, width) in zip(cells, COLUMNS)).rstrip(), flush=True)

    def _write(self):
        def line(cells):
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
        with open(MARKDOWN, "w") as f:
            f.write(line([name for name, _ in COLUMNS]) + "|---" * len(COLUMNS) + "|\n")
            f.writelines(line(cells) for cells in self.rows)
