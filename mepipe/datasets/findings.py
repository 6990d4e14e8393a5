"""What reading a release gives: samples, and findings about everything that was not as it should be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mepipe.datasets.manifest import Sample

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know about a release.

    severity: 'error', a sample is left out; 'warning', probably wrong, the sample is kept; 'note', a known error of
    the release was corrected, or a choice was made. where: file, row or folder. message: what, and what to do.
    """

    severity: Severity
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.where}: {self.message}"


@dataclass
class Release:
    """The samples of a release in the order of its sheet, and the findings of its adapter."""

    samples: list[Sample] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    rows: dict[str, str] = field(default_factory=dict)  # where each id stands, samples or not

    def report(self, severity: Severity, where: str, message: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(severity, where, message))
