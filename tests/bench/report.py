"""What was measured, as it comes in, and at the end what it was to be."""

from __future__ import annotations

from typing import Any

from tests.bench.small import Measured


class Report:
    """Prints; keeps the verdicts for `summary` and all figures in `data`."""

    def __init__(self) -> None:
        self.verdicts: list[tuple[str, str, str, str]] = []
        self.data: dict[str, Any] = {"figures": {}, "verdicts": []}
        self.passed = True
        self._section = ""

    def head(self, title: str) -> None:
        self._section = title
        print(f"\n{title}\n", flush=True)

    def line(self, name: str, measured: Measured) -> None:
        result = measured.result
        self.data["figures"][f"{self._section}: {name}"] = {
            "rate": result.rate,
            "p50_us": result.p50,
            "p99_us": result.p99,
            "server_cpu_us": measured.cpu,
            "errors": result.errors,
        }
        print(f"  {name:<32} {measured}", flush=True)
        if result.errors:
            self._judge(f"{name}: no errors", str(result.errors), "0", good=False)

    def text(self, name: str, value: str) -> None:
        self.data["figures"][f"{self._section}: {name}"] = value
        print(f"  {name:<32} {value}", flush=True)

    def note(self, text: str) -> None:
        print(f"  {'':<32} {text}", flush=True)

    def ratio(self, name: str, found: float, at_least: float | None = None, at_most: float | None = None) -> None:
        self.value(name, found, at_least, at_most, unit=" x")

    def value(
        self, name: str, found: float, at_least: float | None = None, at_most: float | None = None, unit: str = ""
    ) -> None:
        good = (at_least is None or found >= at_least) and (at_most is None or found <= at_most)
        goal = f"at least {at_least}" if at_least is not None else f"at most {at_most}"
        self._judge(name, f"{found:.2f}{unit}", goal, good=good)

    def skip(self, name: str, why: str) -> None:
        self.verdicts.append((name, "-", "", f"not measured: {why}"))

    def _judge(self, name: str, found: str, goal: str, *, good: bool) -> None:
        self.passed = self.passed and good
        verdict = "pass" if good else "FALLS SHORT"
        self.verdicts.append((name, found, goal, verdict))
        self.data["verdicts"].append({"name": name, "found": found, "goal": goal, "pass": good})

    def summary(self) -> None:
        print()
        for name, found, goal, verdict in self.verdicts:
            print(f"  {name:<66} {found:>9}  {goal:<14} {verdict}")
