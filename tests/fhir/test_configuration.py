"""What is known of an authorization server → SMART's document and a word in the CapabilityStatement."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jwt_guard.errors import Misconfigured
from jwt_guard.fhir.configuration import SmartConfiguration, answer_smart, as_clients_see_it
from jwt_guard.fhir.server import Server
from jwt_guard.messages import PlainRequest

TOKEN = "https://id.example/token"
SMART = SmartConfiguration(TOKEN)
SERVER = Server("https://api.example/fhir", also_known_as=("http://10.0.0.1/r4",))


def test_what_there_is_nothing_to_say_about_is_left_out() -> None:
    document = SMART.document()

    assert {
        "token_endpoint",
        "grant_types_supported",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg_values_supported",
        "response_types_supported",
        "code_challenge_methods_supported",
        "capabilities",
    } == set(document)
    assert document == json.loads(json.dumps(document))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"token_endpoint": None}, "token_endpoint"),
        ({"token_endpoint": "http://id.example/token"}, "token_endpoint"),
        ({"issuer": "id.example"}, "issuer"),
        ({"jwks_uri": "https://u@id.example"}, "jwks_uri"),
        ({"capabilities": ()}, "capabilities"),
        ({"capabilities": "launch-ehr"}, "capabilities"),
        ({"scopes_supported": ["openid", ""]}, "scopes_supported"),
        ({"grant_types_supported": []}, "grant_types_supported"),
        ({"capabilities": ["launch-ehr"]}, "authorization_endpoint"),
        ({"capabilities": ["launch-standalone"]}, "authorization_endpoint"),
        ({"capabilities": ["sso-openid-connect"]}, "issuer"),
        ({"capabilities": ["sso-openid-connect"], "issuer": "https://id.example"}, "issuer"),
        ({"code_challenge_methods_supported": ["plain", "S256"]}, "code_challenge_methods_supported"),
        ({"code_challenge_methods_supported": []}, "code_challenge_methods_supported"),
    ],
)
def test_what_the_guide_does_not_have_is_refused(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        SmartConfiguration(**{"token_endpoint": TOKEN, **changes})

    assert str(caught.value).startswith(f"{key}: ")


def test_hosts_without_tls_are_those_that_are_named() -> None:
    assert SmartConfiguration("http://keycloak:8080/t", plain_http_hosts=["keycloak"]).document()
    assert SmartConfiguration("http://127.0.0.1:8080/t").document()


@pytest.mark.parametrize("accept", ["", "text/html", "application/fhir+xml"])
def test_the_document_is_json_whatever_is_asked_for(accept: str) -> None:
    response = answer_smart(SMART, PlainRequest("GET", "/", "", (("accept", accept),)))

    assert (200, SMART.document()) == (response.status, json.loads(response.body))
    assert "application/json" == dict(response.headers)["content-type"]
    assert "*" == dict(response.headers)["access-control-allow-origin"]


def test_nobody_writes_the_document() -> None:
    response = answer_smart(SMART, PlainRequest("PUT", "/"))

    assert (405, "GET, HEAD") == (response.status, dict(response.headers)["allow"])


def test_the_security_of_the_server_side_is_ours_and_all_else_stays() -> None:
    client = {"mode": "client", "security": {"description": "its own"}}
    before = {"resourceType": "CapabilityStatement", "rest": [client, {"mode": "server", "security": {"x": 1}}, "odd"]}
    after = as_clients_see_it(
        before, SERVER, SmartConfiguration(TOKEN, revocation_endpoint="https://id.example/r"), cors=True
    )
    security = after["rest"][1]["security"]

    assert [client, "odd"] == [after["rest"][0], after["rest"][2]]
    assert {"cors", "service", "extension"} == set(security)
    assert [("token", TOKEN), ("revoke", "https://id.example/r")] == [
        (each["url"], each["valueUri"]) for each in security["extension"][0]["extension"]
    ]
    assert {"x": 1} == before["rest"][1]["security"]  # type: ignore[index]


@pytest.mark.parametrize("rest", [None, "odd", []])
def test_a_statement_that_says_nothing_of_rest_does_so_then(rest: object) -> None:
    said = as_clients_see_it({"rest": rest}, SERVER, None, cors=False)

    assert {"cors", "service"} == set(said["rest"][0]["security"])
    assert "server" == said["rest"][0]["mode"]


def test_the_servers_own_address_is_nowhere_in_it() -> None:
    before = {
        "url": "http://10.0.0.1/r4/metadata",
        "implementation": {"description": "x", "url": "http://ehr.internal/fhir"},
        "rest": [{"mode": "server", "operation": [{"definition": "http://10.0.0.1/r4/OperationDefinition/x", "n": 1}]}],
        "fhirVersion": "4.0.1",
    }
    after = as_clients_see_it(before, SERVER, None, cors=True)

    assert "10.0.0.1" not in str(after)
    assert ("https://api.example/fhir/metadata", "4.0.1") == (after["url"], after["fhirVersion"])
    assert {"description": "x", "url": "https://api.example/fhir"} == after["implementation"]
    assert {"definition": "https://api.example/fhir/OperationDefinition/x", "n": 1} == after["rest"][0]["operation"][0]
