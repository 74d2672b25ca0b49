"""Care teams, consents and promotion through the command line."""

from tests.api.conftest import Memvault

MEMBER = ("--as", "desk-1", "--role", "institution-member", "--purpose", "treatment")


def test_a_care_team_is_joined_shown_and_left(memvault: Memvault) -> None:
    joined = ("care-team", "join", "maria", "--member", "dr-a")
    assert memvault.json(*joined) == {"principal": "dr-a", "done": "joined"}
    assert memvault(*joined).exit_code == 7
    (member,) = memvault.json("care-team", "show", "maria")["members"]
    assert member["principal"] == "dr-a"
    assert "dr-a  since" in memvault("care-team", "show", "-", stdin="Maria\n").stdout
    assert memvault("care-team", "leave", "maria", "--member", "dr-a").stdout == "dr-a  left\n"
    assert memvault("care-team", "leave", "maria", "--member", "dr-a").exit_code == 7
    assert memvault("care-team", "join", "maria", "--member", "local-operator").exit_code == 4
    assert memvault.json("care-team", "show", "maria")["members"] == []


def test_a_consent_is_given_shown_and_withdrawn(memvault: Memvault) -> None:
    given = ("consent", "give", "maria", "--to", "research")
    assert memvault.json(*given) == {"purpose": "research", "done": "given"}
    assert memvault(*given).exit_code == 7
    (consent,) = memvault.json("consent", "show", "maria")["consents"]
    assert consent["purpose"] == "research"
    assert "research  since" in memvault("consent", "show", "maria").stdout
    assert memvault("consent", "withdraw", "maria", "--to", "research").stdout == "research  withdrawn\n"
    assert memvault.json("consent", "show", "maria")["consents"] == []


def test_a_memory_is_promoted_step_by_step(memvault: Memvault, memory_id: str) -> None:
    assert memvault("show", memory_id, *MEMBER).exit_code == 6
    told = memvault.json("promote", memory_id, "--to", "institutional", "--expect-version", "1")
    assert told["memory_ids"] == [memory_id]
    assert memvault("show", memory_id, *MEMBER).exit_code == 0
    officer = ("--as", "officer-1", "--role", "privacy-officer", "--purpose", "legal")
    assert f"{memory_id}  public" in memvault("promote", memory_id, "--to", "public", *officer).stdout
    assert memvault.json("show", memory_id, *MEMBER)["access_tier"] == "public"
    assert memvault("promote", memory_id, "--to", "private").exit_code != 0
    assert memvault("audit", "verify").exit_code == 0
