"""The files of an evidence bundle, each found by its number, in memory that does not grow with their number.

Owns comparing the archive with the manifest, and reading a file against its digest. It leaves the container to
`audit.archive`, the manifest's form to `audit.manifest`, and what the files mean to `audit.bundle_reading`.

Which files there must be, and in which order, follows from the sections of the logs. So nothing is looked up by
name: archive and manifest are gone through side by side when the bundle is opened, and of every so many files
is kept where they lie, and a digest of their lines in the manifest. What is read later is a few lines, held
against that digest, and the file, held against its line: whoever could change the bundle while it is verified
gains nothing. There are never more than `_KEPT` of these, however many files there are.
"""

from array import array
from hashlib import sha256
from itertools import accumulate, islice, pairwise, zip_longest
from typing import BinaryIO, Final, NoReturn

from audit.archive import BLOCK, TOP, ArchiveReader, Member
from audit.bundle_section import LogSection
from audit.errors import BundleMalformedError
from audit.manifest import MANIFEST, FileLine, ListedFiles, parse_lines, parse_manifest
from audit.merkle import HASH_SIZE

MAX_ALTERED: Final = 1_000
"""Altered files that are named."""
_KEPT: Final = 4_096
_NOT_LISTED: Final = "expected the files that the manifest lists, in its order, and it last"


class BundleFiles:
    """The files of one bundle.

    Args:
        file: The bundle; one that can be sought in.

    Raises:
        BundleMalformedError: it is none, or breaks off, or holds other files than its manifest lists.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._archive = ArchiveReader(file)
        self._count, manifest = self._last()
        self._listed = ListedFiles(lambda at, size: self._part(manifest, at, size), manifest.size)
        self.manifest = parse_manifest(self._listed.rest())
        self.altered: dict[str, None] = {}
        """Paths of files, read so far, that are not those which the manifest lists; each once."""
        sections = self.manifest.logs
        _check_once(sections)
        self._firsts = [0, *accumulate(section.files for section in sections)]
        self._width = -(-self._count // _KEPT) or 1
        """Files of which is kept together where they lie."""
        self._headers = array("Q")
        self._lines = array("Q")
        self._digests = bytearray()
        self._compare()

    def read(self, section: int, place: int, limit: int) -> bytes:
        """Return a file's content, and note if it is another than was listed.

        Args:
            section: Number of the log in the manifest.
            place: Of the file in the section.
            limit: Bytes that it may have.

        Raises:
            BundleMalformedError: it is larger, or the bundle was changed since it was opened.
        """
        line, member = self._find(self._firsts[section] + place)
        content = self._archive.read(member, limit)
        if sha256(content).hexdigest() != line.digest and len(self.altered) < MAX_ALTERED:
            self.altered[line.path] = None
        return content

    def _last(self) -> tuple[int, Member]:
        """Return the number of files before the last, and the last, which is the manifest."""
        last = None
        for count, member in enumerate(self._archive.members()):
            last = count, member
        if last is None or last[1].path != f"{TOP}/{MANIFEST}":
            raise BundleMalformedError(_NOT_LISTED)
        at = last[1].offset + last[1].size
        if any(self._archive.slice(at, last[1].end - at)):  # its content is read in parts
            raise BundleMalformedError("expected zeros behind the manifest")
        return last

    def _part(self, manifest: Member, at: int, size: int) -> bytes:
        return self._archive.slice(manifest.offset + at, max(0, min(size, manifest.size - at)))

    def _compare(self) -> None:
        """Hold the archive, the manifest's list and what follows from its sections against each other.

        Threat: a section that claims ten million entries. The first path that is not listed ends it.
        """
        due = (path for section in self.manifest.logs for path in section.paths())
        members = islice(self._archive.members(), self._count)
        for number, (listed, member, path) in enumerate(zip_longest(self._listed.lines(), members, due)):
            at, line = listed or (0, None)
            if (None if line is None else line.path) != path:
                raise BundleMalformedError("expected the files that follow from the sections, got others")
            if member is None or line is None or (member.path, member.size) != (f"{TOP}/{path}", line.size):
                self._refuse(member)
            elif number % self._width == 0:
                self._headers.append(member.offset - BLOCK)
                self._lines.append(at)
        self._lines.append(self._listed.end())
        for start, stop in pairwise(self._lines):
            self._digests += sha256(self._listed.lines_between(start, stop)).digest()

    def _refuse(self, member: Member | None) -> NoReturn:
        alike = 0 if member is None else sum(one.path == member.path for one in self._archive.members())
        if alike > 1:
            raise BundleMalformedError("expected each file once in the bundle, got one twice")
        raise BundleMalformedError(_NOT_LISTED)

    def _find(self, number: int) -> tuple[FileLine, Member]:
        """Return what the manifest says of a file, and where it lies."""
        group, within = divmod(number, self._width)
        content = self._listed.lines_between(self._lines[group], self._lines[group + 1])
        if sha256(content).digest() != self._digests[group * HASH_SIZE : (group + 1) * HASH_SIZE]:
            raise BundleMalformedError("expected a bundle that stays as it is while it is verified")
        lines = parse_lines(content)
        offset = self._headers[group]
        for before in lines[:within]:
            offset = Member("", offset + BLOCK, before.size).end
        line = lines[within]
        return line, Member(line.path, offset + BLOCK, line.size)


def _check_once(sections: tuple[LogSection, ...]) -> None:
    """See that no two sections have files of one log: their names would be the same."""
    with_files = [section.log for section in sections if section.files]
    if len(set(with_files)) < len(with_files):
        raise BundleMalformedError("expected each file once in the bundle, got a log's twice")
