"""Bundles for tests: exported from a small deployment, and taken apart, changed and put together again.

Owns rewriting a bundle as somebody would who knows the format: with a manifest that fits, or without.
"""

import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from audit.archive import TOP, ArchiveWriter
from audit.bundle import BundleTerms, write_bundle
from audit.evidence import EntryBeside, LogEvidence
from audit.trust import Trust
from audit.verify_bundle import BundleReport, verify_bundle
from tests.simulators.small_deployment import SmallDeployment

MANIFEST = f"{TOP}/manifest.json"
Files = dict[str, bytes]


def export(deployment: SmallDeployment, *tenants: str, payloads: bool = True) -> bytes:
    """Return a bundle of the logs named, or of all."""
    file = io.BytesIO()
    logs = deployment.log.evidence(deployment.connection, tenants or None)
    terms = BundleTerms(complete=not tenants, payloads=payloads)
    write_bundle(file, [deployment.key], logs, terms)
    return file.getvalue()


def export_range(
    deployment: SmallDeployment,
    tenant: str,
    start: int,
    stop: int,
    *,
    payloads: bool = True,
    beside: Sequence[EntryBeside] = (),
) -> bytes:
    """Return a bundle of a range of whole tiles, and of entries beside it."""
    (log,) = deployment.log.evidence(deployment.connection, [tenant])
    size = deployment.log.head(deployment.connection, tenant).size
    entries = deployment.log.entries(deployment.connection, tenant, start, min(stop, size))
    shown: LogEvidence = replace(log, entries=entries, start=start, size=size, beside=beside)
    file = io.BytesIO()
    write_bundle(file, [deployment.key], [shown], BundleTerms(complete=False, payloads=payloads))
    return file.getvalue()


def beside_of(deployment: SmallDeployment, tenant: str, index: int) -> EntryBeside:
    """Return an entry with its path to the root, as it is shown beside a range."""
    size = deployment.log.head(deployment.connection, tenant).size
    (entry,) = deployment.log.entries(deployment.connection, tenant, index, index + 1)
    path = deployment.log.inclusion_proof(deployment.connection, tenant, index, size)
    return EntryBeside(entry, tuple(path))


def verify(deployment: SmallDeployment, bundle: bytes, *remembered: bytes) -> BundleReport:
    """Verify a bundle with the deployment's own key."""
    trust = Trust((deployment.key,))
    return verify_bundle(io.BytesIO(bundle), trust, remembered=remembered, now=deployment.now)


def checks(report: BundleReport) -> set[str]:
    """Return the names of the checks that found something."""
    return {str(finding.check) for finding in report.report.findings}


def unpacked(bundle: bytes) -> Files:
    """Return a bundle's files, by an archiver that is not ours."""
    with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
        files: Files = {}
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            files[member.name] = content.read()
        return files


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return the archive of files, in the order given."""
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    for path, content in files.items():
        writer.add(path, content)
    writer.end()
    return file.getvalue()


def refitted(files: Files) -> bytes:
    """Return a bundle whose manifest lists these files as they are now, with the rest of it unchanged."""
    manifest = json.loads(files[MANIFEST])
    others = {path: content for path, content in files.items() if path != MANIFEST}
    manifest["files"] = [
        [path.removeprefix(f"{TOP}/"), len(content), sha256(content).hexdigest()]
        for path, content in others.items()
    ]
    return packed({**others, MANIFEST: canonical_json(manifest)})


def canonical_json(value: object) -> bytes:
    """Return JSON as a manifest is written."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def edited(bundle: bytes, path: str, edit: Callable[[bytes], bytes], *, refit: bool) -> bytes:
    """Return a bundle with one file changed; with `refit` the manifest is made to fit."""
    files = unpacked(bundle)
    files[f"{TOP}/{path}"] = edit(files[f"{TOP}/{path}"])
    return refitted(files) if refit else packed(files)


def with_manifest(bundle: bytes, **fields: object) -> bytes:
    """Return a bundle whose manifest says something else."""
    files = unpacked(bundle)
    manifest = {**json.loads(files[MANIFEST]), **fields}
    files[MANIFEST] = canonical_json({name: value for name, value in manifest.items() if value is not ...})
    return packed(files)
