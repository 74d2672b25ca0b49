"""What a database's schema has to be: each table, index and trigger by the digest of its statement.

Owns the pins and the comparison with what stands in the file. It leaves making the schema to the
migrations; a test holds the pins against what they make.

Threat: whoever can write to the file plants a trigger or a view, which would run inside the vault's own
transactions, or drops the guards of the audit log. Both are found at opening, before anything is written.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final, Literal

from sqlalchemy import Connection, text

from vault.crypto.encoding import frame
from vault.errors import TamperedError

_DIGITS: Final = 32
_PLAIN: Final = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
# Made by SQLite itself for keys, without a statement of their own; the table's statement says all of them.
_STANDING: Final = text(
    "SELECT type, name, tbl_name, sql FROM sqlite_master"
    " WHERE NOT (type = 'index' AND sql IS NULL AND name LIKE 'sqlite!_autoindex!_%' ESCAPE '!')"
)

PINS: Final[Mapping[str, Mapping[str, str]]] = {
    "rows": {
        "index care_team_by_principal": "6febc4936aa2ef8c4ff50682e6b3ecd9",
        "index edge_by_target": "14e3e5fffa659c556b129edbaac13326",
        "index erasure_by_subject": "0e6f6410fb4baa3f7069f7c1b3a4d0da",
        "index hold_target_by_target": "8cbc5c46d6efba3072253a15fea297f3",
        "index ix_audit_leaf_time": "a2e0bd509eed93197397254934ca3d4d",
        "index memory_by_episode": "8a72bd590bef7535b074c206cfab0ca5",
        "index memory_by_term": "aaf4bf7a7c134319b54d8f09052c3ccc",
        "index memory_in_activation": "613d954ffdf64a9fee75a94275486a83",
        "index memory_subject_by_memory": "cb2ef3138507722c3c9353713d250044",
        "index run_by_principal": "bc6a71cda1eba687b356b825c4ca1ca3",
        "index task_by_key": "2a6d9c8cd4aede92f4c5d231c7a245d2",
        "index task_by_rank": "f78117e88a1443c52da19292ca7b7a23",
        "index task_by_subject": "d7aff95815db0c8573bc5096ae1316aa",
        "table alembic_version": "834359b0e2eae28396e3d777d2078671",
        "table audit_checkpoint": "85a2b7dc7c791e74ba6069c3e07ef7e4",
        "table audit_cosignature": "57354fae37967e0c37b9387580669300",
        "table audit_head": "fb2674301a62cc99efe20e2b9cc2e974",
        "table audit_leaf": "4d3d3a234f568868d5a437528c79aea5",
        "table audit_subtree": "8f2a30e0dd137138d1158f0b3692ed6b",
        "table audit_tile": "9927cfa17a3cc2475a4b63be58109f85",
        "table care_team": "dd31aeac363be38dcdfa98074832cb76",
        "table consent": "63715e6321d56860218a23a7d35f5085",
        "table credential": "9fb9ad109d74ba6eee7c479c05eaa418",
        "table edge": "b9bfe96886d7620131eb9070104731ca",
        "table embedding": "d57fad9c203e9d1fbad470b18d5aa0ed",
        "table emergency": "1d197ae184856918e44fcae329d718e0",
        "table episode": "17b60469d001667d9ee0a4a6634c138e",
        "table erasure": "9e2f9e00fa1157f650bbe4bc003a8adc",
        "table hold": "c26ec007b6ad9b3a19d2dd4e39ed3826",
        "table hold_target": "6f1d22a62ca27700744b898bf4c1b795",
        "table job": "6e047725594a87122f65ed075b3a51aa",
        "table lease": "f56e64e2e13f1c627ada9e9e7c4b12bb",
        "table memory": "42318532d4e9e6bd91fb044f046ff349",
        "table memory_subject": "54ab9fbc71b9ba02a66e2a09ff30c05c",
        "table quarantine": "e38789752e6b05cff7aa4cbd9accc868",
        "table restriction": "616293425d7ce275ad3542b02d4f06f0",
        "table review": "fb309fe9354ee5c174a70a52f81943c5",
        "table run": "8488bcedda41e7ccab228a760eb1815b",
        "table run_effect": "2adf34731684203444a744990240a8e5",
        "table run_step": "667c8c807b9bd1573420e5c717a8508f",
        "table subject": "da94ae472d6ab995e7cf17d7391dfb19",
        "table task": "58f586002fb0d69e2d12984d39bb1ecf",
        "table tenant": "14848c45d4c3bf39a9d5d404c762df31",
        "table tombstone": "28c9169e4c76c9a653ab7ba1b4558940",
        "table usage": "195dfac9917af7be82629b01ddbc9d51",
        "trigger audit_checkpoint_fixed": "067a9331518af3fb796977d18075e538",
        "trigger audit_checkpoint_keep": "977bae671a80ee8cfe9038df9d8f666d",
        "trigger audit_checkpoint_once": "b149c0966d25ed76f36d501e0812efe8",
        "trigger audit_cosignature_fixed": "1c3ff662f65e6e6f7ecf07d6106085d3",
        "trigger audit_cosignature_keep": "78efbf648d5a061e881ec95110223d04",
        "trigger audit_cosignature_once": "69bd999115ea1558c5d2154aa50f3b6c",
        "trigger audit_head_grow": "64c5c50f82d77a10075e97d22ed42f07",
        "trigger audit_head_keep": "33ba8d8cf5ce0fa34b5c4cb2d42d6847",
        "trigger audit_head_once": "3dc440b642d59d87a66b00e589092d79",
        "trigger audit_leaf_append": "c62be2a67e258b704352f922d3ae4d12",
        "trigger audit_leaf_erase": "0a874d72de2b814ae7fbf49138b8573d",
        "trigger audit_leaf_fixed": "6fddcc3845179d02d44c071e12a5a5f9",
        "trigger audit_leaf_keep": "2a3a88b4223831a09f078573e88f7755",
        "trigger audit_subtree_fixed": "d9c38617dcd3b0f57cec464229a73e67",
        "trigger audit_subtree_keep": "12ab34f87219a18b039f4b4a18e150e3",
        "trigger audit_subtree_once": "3d3fcf86ada0fa583d22dce0b5470b6b",
        "trigger audit_tile_fixed": "27f2a134589280b0b81f77bcbc5ab69c",
        "trigger audit_tile_keep": "dbf0cf2c724a7bf4e563bd2b2e2bd799",
        "trigger audit_tile_once": "2d479e1edb3fec4627746181e04d755c",
        "trigger emergency_fixed": "c46c13aba77dbdf1fc8a9a65458044bc",
        "trigger emergency_keep": "e4f8b40f41aabca1f3ef669667204608",
        "trigger emergency_once": "f0da17b3a73a56e652d869df1ca8b44f",
        "trigger hold_fixed": "c4b971b51f20dc61729bb9aeecacd405",
        "trigger hold_keep": "45f160e7d9cbec3e7d7a790b7b742cef",
        "trigger hold_target_fixed": "495cc6196d57df39ba407847381bef38",
        "trigger hold_target_keep": "3eb7bddef2628400aeee96810c46a45f",
        "trigger tombstone_fixed": "b0118f503ac92271cbd7f97ec838f23e",
        "trigger tombstone_keep": "5442cbe47e4c42473ceb1ca47bdc8ad2",
        "trigger tombstone_once": "9f73c0024f816a67326dea71eb7a680e",
    },
    "keys": {
        "table alembic_version": "834359b0e2eae28396e3d777d2078671",
        "table keys": "b550445b76e9fbfeb30e51b15dca3376",
        "table ledger": "66eef23a3bfc7ca390d55cc976c3a7e2",
        "trigger keys_destroyed_fixed": "4c184b4956a293b6fba4eb26a88868cb",
        "trigger keys_destroyed_keep": "fd8bde413abfed6f495b88d6b6515809",
        "trigger ledger_fixed": "1e88778082011885745d40450f0aeeaa",
        "trigger ledger_keep": "cf1ebd416f63a3b3ce1e4e489c29f77f",
        "trigger ledger_once": "b0efd5091f39dd98a636bb0656429f6c",
    },
}
"""Of each database: kind and name of an object, and the digest of its statement."""


def check_schema(connection: Connection, database: Literal["rows", "keys"]) -> None:
    """See that a database has the objects that its migrations made, no other, and each unchanged.

    Raises:
        TamperedError: it has not; the kind and name of one such object are named.
    """
    expected, found = PINS[database], standing(connection)
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if not wrong:
        return
    first = wrong[0]
    what = "is missing" if first not in found else "was changed" if first in expected else "was added"
    raise TamperedError(f"the schema of the store is not what was made: {_shown(first)} {what}")


def standing(connection: Connection) -> dict[str, str]:
    """Return kind and name of each object of a database, and the digest of its statement."""
    found: dict[str, str] = {}
    for kind, name, table, sql in connection.execute(_STANDING):
        digest = hashlib.sha256(frame(str(table).encode(), _normal(str(sql)))).hexdigest()[:_DIGITS]
        object_name = f"{kind} {name}"
        found[object_name] = "twice" if object_name in found else digest
    return found


def _normal(sql: str) -> bytes:
    """Fold white space, which differs between versions of what writes the statements."""
    return re.sub(r" ?([(),]) ?", r"\1", " ".join(sql.split())).encode()


def _shown(name: str) -> str:
    """Return kind and name, unless whoever added the object made the name a message."""
    kind, _, own = name.partition(" ")
    if kind not in {"table", "index", "trigger", "view"}:
        return "an object"
    return f"the {kind} {own}" if _PLAIN.fullmatch(own) else f"a {kind}"
