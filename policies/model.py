"""The finite vocabulary of decisions: who asks for what, on which kind of thing, and why.

Owns the enumerations that span the request space and the values `Principal`, `Request` and
`Decision`. It leaves deciding to `policies.access` and authentication to the edge.

Every dimension is a finite enumeration, except tenant and principal ids, which enter decisions only
as "same tenant or not" and as a relation: so the whole request space can be enumerated.
"""

import re
from dataclasses import InitVar, dataclass
from enum import StrEnum
from typing import Final, final

from policies.errors import DeniedError, RequestInvalidError
from policies.issued import issued

# Ids stand in audit headers for ever, so an id may not carry an e-mail address, a phone or an
# account number: no "@", no spaces, and no run of more than six digits.
_ID: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", re.ASCII)
_LONG_DIGITS: Final = re.compile(r"(?:[0-9][._-]?){7,}")
MAX_ID_LENGTH: Final = 64


def check_id(kind: str, value: str) -> str:
    """Return `value` if it is an acceptable tenant or principal id.

    Raises:
        RequestInvalidError: not lower-case ASCII words joined by `.`, `_` or `-`, too long, or with
            seven or more digits in a row, which could be an account or a phone number.
    """
    if not 1 <= len(value) <= MAX_ID_LENGTH or not _ID.fullmatch(value):
        raise RequestInvalidError(
            f"expected a {kind} id of 1 to {MAX_ID_LENGTH} lower-case letters, digits and . _ - between them"
        )
    if _LONG_DIGITS.search(value):
        raise RequestInvalidError(f"expected a {kind} id without a run of seven or more digits")
    return value


class Role(StrEnum):
    """What a principal is, as its authenticator says."""

    OWNER_AGENT = "owner-agent"
    """An agent that keeps memories of its own and reads no other's private memory."""
    MEMBER = "institution-member"
    """Staff or an agent of the institution: shares and reads institutional memory, masked."""
    CLINICIAN = "clinician"
    """Reads across owners for treatment, and may reveal for that purpose."""
    ADVISER = "adviser"
    """The same at a bank or a firm: for service to the client."""
    AUDITOR = "auditor"
    """Sees the log and no content."""
    ADMINISTRATOR = "administrator"
    """Runs the vault and sees no content."""
    PRIVACY_OFFICER = "privacy-officer"
    """Answers for the rights of persons: erases, holds, restricts and tells them what is known of them."""
    SERVICE = "service"
    """A job or an integration: writes and organizes, reveals nothing."""


class AccessTier(StrEnum):
    """Who a memory is open to, before role and purpose are asked."""

    PRIVATE = "private"
    INSTITUTIONAL = "institutional"
    PUBLIC = "public"


class SystemResource(StrEnum):
    """Things that are not memories and that a decision may be about."""

    AUDIT_LOG = "audit-log"
    VAULT = "vault"


Resource = AccessTier | SystemResource
RESOURCES: Final[tuple[Resource, ...]] = (*AccessTier, *SystemResource)
"""All of them, in the order in which they are shown."""


class Relation(StrEnum):
    """How the principal stands to the memory: the closest of these that is true, never two."""

    OWNER = "owner"
    """The memory is the principal's own."""
    CARE_TEAM = "care-team"
    """Another's memory, and the principal is on the care team of everyone it is about."""
    INSTITUTION = "institution"
    """Another's memory of the same institution; the log and the vault are the institution's too."""
    OTHER = "other"
    """Another institution's: nothing of it is ever allowed, whatever a rule says."""


class Assurance(StrEnum):
    """How surely the authenticator knows who calls."""

    SINGLE = "single"
    """One factor: a key, a password, or whatever nobody vouched more for."""
    MFA = "mfa"
    """Several factors (NIST SP 800-63B, AAL2 and above)."""


class Emergency(StrEnum):
    """Whether the principal broke the glass: declared an emergency that is in force at the call."""

    NONE = "none"
    DECLARED = "declared"


class Action(StrEnum):
    """What is asked for."""

    WRITE = "write"
    READ = "read"
    SEARCH = "search"
    REVEAL = "reveal"
    UPDATE = "update"
    ORGANIZE = "organize"
    AUDIT = "audit"
    """Read entries and checkpoints of the audit log."""
    ADMINISTER = "administer"
    """See the vault's health, keys' states and figures; run its jobs, keys and snapshots."""
    ERASE = "erase"
    """Erase what is known of a person."""
    HOLD = "hold"
    """Place, review and release legal holds."""
    DISCLOSE = "disclose"
    """Tell a person what is known of them, in clear."""
    PROMOTE = "promote"
    """Open a memory to a wider access tier, after a look at its content; asked of the tier it goes to."""
    EXPORT = "export"
    """Take evidence out of the vault's house."""
    BREAK_GLASS = "break-glass"
    """Declare an emergency, and end one's own."""
    REVIEW = "review"
    """See declared emergencies and judge them afterwards."""
    RESTRICT = "restrict"
    """Restrict the use of what is known of a person, as that person asks."""


class Purpose(StrEnum):
    """Why."""

    TREATMENT = "treatment"
    PAYMENT = "payment"
    OPERATIONS = "operations"
    RESEARCH = "research"
    SERVICE = "service"
    LEGAL = "legal"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a user, an agent or a service, with its tenant and roles.

    Raises:
        RequestInvalidError: a bad id, or no role: a principal without roles could be allowed nothing.
    """

    id: str
    tenant: str
    roles: frozenset[Role]
    assurance: Assurance = Assurance.SINGLE

    def __post_init__(self) -> None:
        check_id("principal", self.id)
        check_id("tenant", self.tenant)
        if not self.roles or not all(isinstance(role, Role) for role in self.roles):
            raise RequestInvalidError("expected at least one known role")
        if not isinstance(self.assurance, Assurance):
            raise RequestInvalidError("expected a known assurance")


@dataclass(frozen=True, slots=True)
class Request:
    """One question for the rules: may `principal` do this?

    `tenant` is the tenant of the thing, which is not taken from the principal: the wall compares both.
    """

    principal: Principal
    tenant: str
    resource: Resource
    relation: Relation
    action: Action
    purpose: Purpose
    emergency: Emergency = Emergency.NONE

    def __post_init__(self) -> None:
        check_id("tenant", self.tenant)
        for value, kinds in (
            (self.principal, Principal),
            (self.resource, (AccessTier, SystemResource)),
            (self.relation, Relation),
            (self.action, Action),
            (self.purpose, Purpose),
            (self.emergency, Emergency),
        ):
            if not isinstance(value, kinds):
                raise RequestInvalidError("expected a request of known, typed values")


DECISION_ISSUER: Final = object()
"""Shown by `policies.access` when it makes a decision, so that no other code makes one by accident."""


@final
@issued
@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, with the digest of the bundle that gave it.

    Only `policies.access` makes decisions; the storage's unit of work takes one, not a boolean.

    Raises:
        TypeError: made, copied, pickled or subclassed by anyone else.
    """

    request: Request
    allowed: bool
    bundle_digest: str
    """`sha256:` and 64 hex digits of the policy bundle."""
    rule: str
    """Id of the rule that allowed or forbade, `default-deny` or `tenant-wall`."""
    issuer: InitVar[object]

    def __post_init__(self, issuer: object) -> None:
        if issuer is not DECISION_ISSUER:
            raise TypeError("decisions are made by policies.access alone")

    def require(self) -> "Decision":
        """Return itself if allowed.

        Raises:
            DeniedError: it was not. The message names action and purpose, never the thing.
        """
        if not self.allowed:
            raise DeniedError(f"{self.request.action} for {self.request.purpose} is not allowed")
        return self
