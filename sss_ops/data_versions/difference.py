"""Compare two versions: cases, patients and other files that differ."""

from __future__ import annotations

from dataclasses import dataclass, field

from sss_ops.data_versions.contents import Contents, VersionedCase


@dataclass(frozen=True)
class Changes:
    """Sorted names: only in the newer version, in both but different, only in the older."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def counts(self) -> str:
        """As a phrase: ``2 added, 0 changed, 1 removed``."""
        return f"{len(self.added)} added, {len(self.changed)} changed, {len(self.removed)} removed"


@dataclass(frozen=True)
class Difference:
    """Changes from the older to the newer of two versions.

    Attributes:
        patients: changed are those of whom both versions have cases, but not the same.
        what: per changed case, its changed parts: image, label, label added, label removed, split and so on.
    """

    cases: Changes
    patients: Changes
    others: Changes
    what: dict[str, str]


def compare_contents(old: Contents, new: Contents) -> Difference:
    """Compare two versions, md5 by md5 and row by row."""
    names = old.cases.keys() | new.cases.keys()
    what = {_name(key): _what(old.cases[key], new.cases[key]) for key in old.cases.keys() & new.cases.keys()}
    what = {name: words for name, words in sorted(what.items()) if words}
    cases = Changes(
        added=sorted(_name(key) for key in names - old.cases.keys()),
        changed=list(what),
        removed=sorted(_name(key) for key in names - new.cases.keys()),
    )
    return Difference(cases, _patients(old, new, cases), _others(old, new), what)


def _what(old: VersionedCase, new: VersionedCase) -> str:
    words = [_of_files(kind, old, new) for kind in ("image", "label")]
    words += [_of_row(column, old, new) for column in ("patient", "group", "split", "label_order")]
    return ", ".join(word for word in words if word)


def _of_files(kind: str, old: VersionedCase, new: VersionedCase) -> str:
    before = sorted(md5 for name, md5 in old.files.items() if name.startswith(kind))
    after = sorted(md5 for name, md5 in new.files.items() if name.startswith(kind))
    if before == after:
        return ""
    return f"{kind} added" if not before else f"{kind} removed" if not after else kind


def _of_row(column: str, old: VersionedCase, new: VersionedCase) -> str:
    before, after = (getattr(case.row, column, None) for case in (old, new))
    if before == after:
        return ""
    return f"{column} {_cell(before)} → {_cell(after)}"


def _cell(value: object) -> str:
    return "none" if value in (None, "") else str(value)


def _patients(old: Contents, new: Contents, cases: Changes) -> Changes:
    touched = {*cases.added, *cases.changed, *cases.removed}
    theirs = {
        case.patient
        for contents in (old, new)
        for key, case in contents.cases.items()
        if case.patient and _name(key) in touched
    }
    before, after = old.patients, new.patients
    return Changes(
        added=sorted(map(_name, after - before)),
        changed=sorted(map(_name, theirs & before & after)),
        removed=sorted(map(_name, before - after)),
    )


def _others(old: Contents, new: Contents) -> Changes:
    both = old.others.keys() & new.others.keys()
    return Changes(
        added=sorted(new.others.keys() - both),
        changed=sorted(path for path in both if old.others[path] != new.others[path]),
        removed=sorted(old.others.keys() - both),
    )


def _name(key: tuple[str, str]) -> str:
    return "/".join(part for part in key if part)
