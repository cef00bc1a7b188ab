"""``sss promote``, ``sss rollback``, ``sss release`` and ``sss registry``, and the tables that they print."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sss_ops.registry.aliases import Intent, finish_decision, print_note, read_state
from sss_ops.registry.decisions import decisions_of
from sss_ops.registry.lock import is_lock
from sss_ops.registry.rollback import roll_back
from sss_ops.registry.versions import CHAMPION, version_at
from sss_ops.text_table import aligned
from sss_ops.tracking.store import tracking_client

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from sss_ops.registry.aliases import ModelState
    from sss_ops.registry.promotion import ChampionComparison
    from sss_ops.registry.promotion_checks import ClassCheck

ModelName = Annotated[str, typer.Argument(help="Registered model, register.model of the recipe.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]


def promote(
    name: ModelName,
    version: Annotated[int, typer.Option(min=1, help="The version that is to become the champion.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Data set to compare on; by default that of the version's training, in data/, unchanged."),
    ] = None,
    params: Annotated[Path, typer.Option(help="Recipe; its section promotion says what must hold.")] = Path(
        "params.yaml"
    ),
    reason: Reason = "",
    explain: Annotated[bool, typer.Option("--explain", help="Show the comparison and move nothing.")] = False,
) -> Intent | None:
    """Make a version the champion, if the promotion checks hold on test patients that neither it nor the champion saw.

    The old champion becomes the previous one. Exit code 2, and nothing moved, where a check does not hold.

    Example: sss promote sss-phantom --version 2 --explain
    \f
    Returns:
        The decision; None with `explain`.
    """
    from sss_model.config import load_config
    from sss_ops.registry.promotion import compare_with_champion, promote_version

    client = tracking_client()
    comparison = compare_with_champion(client, name, str(version), load_config(params), data=data)
    typer.echo(comparison_table(comparison))
    if explain:
        objections = "; ".join(comparison.verdict.objections)
        typer.echo(f"a check does not hold: {objections}" if objections else "all checks hold; nothing was moved")
        return None
    intent = promote_version(client, comparison, reason=reason)
    typer.echo(f"{name}: version {intent.after['champion']} is the champion{_instead_of(comparison.champion)}")
    return intent


def rollback(name: ModelName, reason: Reason = "") -> Intent:
    """Swap champion and previous; a champion that was set by hand gives way to the one that was promoted.

    Example: sss rollback sss-phantom --reason misses-clots
    \f
    Returns:
        The decision.
    """

    intent = roll_back(tracking_client(), name, reason=reason)
    typer.echo(f"{name}: version {intent.after['champion']} is the champion{_instead_of(intent.record['from'])}")
    return intent


def release(
    name: Annotated[str, typer.Argument(help="Registered model; NAME@ALIAS for another than the champion.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    version: Annotated[int | None, typer.Option(min=1, help="The version; the champion if not given.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Whether a folder that is there gives way.")] = False,
) -> dict[str, Any]:
    """Write a version's release folder: card, scores, overlays, report, bill of materials, approval, hashes.

    All of it comes from MLflow and is audited first. A version that nobody promoted can be released; its approval says
    so.

    Example: sss release sss-phantom release/sss-phantom
    \f
    Returns:
        The content of ``approval.json``.
    """
    from sss_ops.registry.release import write_release

    client = tracking_client()
    found = version_at(client, f"{name}/{version}" if version else name)
    approval = write_release(client, found, output, replace=replace)
    if approval["warning"]:
        typer.secho(f"warning: {approval['warning']}", fg="yellow", err=True)
    typer.echo(f"{found.name} version {found.version}, {approval['status']}: {output}")
    return approval


def show_registry(
    name: Annotated[str | None, typer.Argument(help="Registered model; all of them if not given.")] = None,
) -> list[ModelListing]:
    """List a model's versions: Dice, aliases, when registered, what was decided last, by whom and why.

    A champion that was set by hand in MLflow, past the promotion checks, is marked with (!). What a killed command left
    half done is finished first.

    Example: sss registry sss-phantom
    \f
    Returns:
        The models that were listed.
    """

    client = tracking_client()
    names = [name] if name else model_names(client)
    if not names:
        typer.echo("no registered models; `sss register` makes the first")
    listings = []
    for each in names:
        finished = finish_decision(client, each)
        if finished:
            print_note(finished)
        listings.append(list_versions(client, each))
        typer.echo(listing_table(listings[-1]))
    return listings


@dataclass(frozen=True)
class VersionRow:
    """A version as listed: when it was registered, its Dice on test patients, the last decision about it."""

    version: str
    dice: str
    aliases: str
    registered: str
    decision: str
    when: str
    who: str
    why: str


@dataclass(frozen=True)
class ModelListing:
    """A model's versions, the newest first, and warnings about its aliases."""

    name: str
    rows: tuple[VersionRow, ...]
    warnings: tuple[str, ...]


def model_names(client: MlflowClient) -> list[str]:
    """Names of the registered models, without the locks among them."""
    names: list[str] = []
    token: str | None = None
    while True:
        page = client.search_registered_models(page_token=token)
        names += [model.name for model in page if not is_lock(model.name)]
        token = page.token
        if not token:
            return sorted(names)


def list_versions(client: MlflowClient, name: str) -> ModelListing:
    """List a model's versions; raises `InputError` where there is no model of that name."""
    state = read_state(client, name)
    rows = tuple(_version_row(version, state) for version in _versions(client, name))
    return ModelListing(name, rows, tuple(_warnings(state)))


def listing_table(listing: ModelListing) -> str:
    """A model's versions, then the warnings, as text."""
    columns = [field.name for field in fields(VersionRow)]
    lines = [listing.name, *aligned(columns, (list(asdict(row).values()) for row in listing.rows))]
    lines += [f"warning: {warning}" for warning in listing.warnings]
    return "\n".join(lines)


def comparison_table(comparison: ChampionComparison) -> str:
    """Champion and challenger class by class, as text."""
    champion, verdict = comparison.champion, comparison.verdict
    against = f"version {champion} (champion)" if champion else "no champion: its mean Dice alone is checked"
    head = f"{comparison.name} version {comparison.version} against {against}"
    head += f", Dice on {verdict.cases} scans of {verdict.patients} test patients"
    columns = ["class", "champion", "challenger", "difference", "interval", "margin", "verdict"]
    return "\n".join([head, *aligned(columns, map(_check_row, verdict.checks))])


def _check_row(check: ClassCheck) -> list[str]:
    interval = "" if check.low is None or check.high is None else f"{check.low:+.3f} to {check.high:+.3f}"
    return [
        check.class_name,
        _number(check.champion),
        _number(check.challenger),
        "" if check.difference is None or check.champion is None else f"{check.difference:+.3f}",
        interval,
        "" if check.margin is None else f"-{check.margin:g}",
        "holds" if check.objection is None else "does not hold",
    ]


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    quote = '"' if "'" in name else "'"
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = {quote}{name}{quote}", page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version), reverse=True)


def _version_row(version: ModelVersion, state: ModelState) -> VersionRow:
    number = str(version.version)
    aliases = sorted(alias for alias, target in state.aliases.items() if target == number)
    marked = [f"{alias} (!)" if alias == CHAMPION and state.moved_by_hand else alias for alias in aliases]
    last: dict[str, Any] = (decisions_of(version.tags) or [{}])[-1]
    return VersionRow(
        version=number,
        dice=_dice(version),
        aliases=", ".join(marked),
        registered=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M"),
        decision=_decision(number, last) if last else "",
        when=str(last.get("when", "")).replace("T", " ")[:16],
        who=last.get("who", ""),
        why=str(last.get("why", "")),
    )


def _dice(version: ModelVersion) -> str:
    try:
        return f"{float(version.tags.get('dice', '')):.3f}"
    except ValueError:
        return "–"


def _decision(version: str, record: dict[str, Any]) -> str:
    """A decision in words, as one of the two versions that it concerns sees it."""
    new, old = record.get("to"), record.get("from")
    up = {"promote": "promoted", "rollback": "rolled back to", "restore": "put back"}
    down = {"promote": f"replaced by {new}", "rollback": f"rolled back to {new}", "restore": f"replaced by {new}"}
    words = up if version == new else down
    over = f" over {old}" if record.get("action") == "promote" and version == new and old else ""
    return words.get(str(record.get("action")), "") + over


def _warnings(state: ModelState) -> list[str]:
    found = []
    if state.pending and state.intent is not None:
        what = state.intent.record
        found.append(
            f"{what.get('action')} of version {what.get('to')} by {what.get('who')} at {what.get('when')} is not "
            "finished: it is under way, or the next sss promote or rollback will finish it"
        )
    edit = state.hand_edit()
    return [*found, edit] if edit else found


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _instead_of(old: str | None) -> str:
    return f", it was version {old}" if old else ""
