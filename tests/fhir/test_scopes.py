"""Scope texts → what they allow, each and together, and what of them is refused."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jwt_guard.fhir.resource_types import R4, R4B, R5
from jwt_guard.fhir.scopes import Context, Grants, SmartScope, Unreadable, granted, read_scope

LABORATORY = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
URI = "http://smarthealthit.org/fhir/scopes/"
CONTEXTS: tuple[Context, ...] = ("patient", "user", "system")

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "smart_scope_parse_cases.json"
SHARED: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8")) if VECTORS.exists() else []


def read(text: str, **options: Any) -> SmartScope:
    scope = read_scope(text, **options)

    assert isinstance(scope, SmartScope), scope
    return scope


def unreadable(text: str, **options: Any) -> str:
    scope = read_scope(text, **options)

    assert isinstance(scope, Unreadable), scope
    assert text == scope.text
    return scope.reason


# --- one scope ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "context", "resource_type", "letters", "parameters"),
    [
        # SMART App Launch 2.2.0, scopes-and-launch-context
        ("patient/*.rs", "patient", "*", "rs", []),
        ("patient/Observation.cu", "patient", "Observation", "cu", []),
        ("patient/Patient.r", "patient", "Patient", "r", []),
        ("patient/Observation.read", "patient", "Observation", "rs", []),
        ("patient/Observation.write", "patient", "Observation", "cud", []),
        ("patient/*.*", "patient", "*", "cruds", []),
        ("user/Encounter.*", "user", "Encounter", "cruds", []),
        ("system/Group.cruds", "system", "Group", "cruds", []),
        ("user/*.d", "user", "*", "d", []),
        ("patient/Patient.rd", "patient", "Patient", "rd", []),  # and not read
        (f"patient/Observation.rs?category={LABORATORY}", "patient", "Observation", "rs", [("category", LABORATORY)]),
        ("patient/Patient.r?name=john&gender=male", "patient", "Patient", "r", [("name", "john"), ("gender", "male")]),
        ("user/Observation.c?code=a&code=b", "user", "Observation", "c", [("code", "a"), ("code", "b")]),
        ("user/Observation.r?code=b,a", "user", "Observation", "r", [("code", "b,a")]),
        ("user/Condition.r?code=http://a.example/b|", "user", "Condition", "r", [("code", "http://a.example/b|")]),
        ("user/Condition.r?code=|7", "user", "Condition", "r", [("code", "|7")]),
        ("user/Patient.r?name=J%C3%B6rg%20P", "user", "Patient", "r", [("name", "J%C3%B6rg%20P")]),
        ("user/Patient.r?name=%E7%8E%8B", "user", "Patient", "r", [("name", "%E7%8E%8B")]),
        ("user/*.rs?_lastUpdated=ge2020-01-01", "user", "*", "rs", [("_lastUpdated", "ge2020-01-01")]),
        # the form as a URI
        (f"{URI}patient/Observation.rs?status=final", "patient", "Observation", "rs", [("status", "final")]),
        (f"{URI}user/*.read", "user", "*", "rs", []),
    ],
)  # fmt: skip
def test_a_scope_says_whose_resources_of_which_type_and_what_may_be_done(
    text: str, context: Context, resource_type: str, letters: str, parameters: list[tuple[str, str]]
) -> None:
    scope = read(text)

    assert SmartScope(context, resource_type, frozenset(letters), tuple(parameters)) == scope
    assert () == scope.unenforceable
    assert None is scope.origins
    assert (scope,) == granted([text]).scopes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("patient/", "a dot"),
        ("patient/Observation", "a dot"),
        ("patient/Observation?status=final", "a dot"),
        ("user/profile", "a dot"),
        ("patient/observation.rs", "type"),
        ("patient/OBSERVATION.rs", "type"),
        ("patient/Foobar.read", "type"),
        ("patient/Resource.read", "type"),
        ("patient/.rs", "type"),
        ("patient/**.rs", "type"),
        ("patient/Observation*.rs", "type"),
        ("patient//Observation.rs", "type"),
        ("patient/Patient/1.rs", "type"),
        ("patient/ Observation.rs", "type"),
        ("patient/Observation.", "letters"),
        ("patient/Observation.?status=final", "letters"),
        ("patient/Observation.dus", "letters"),
        ("patient/Observation.sr", "letters"),
        ("patient/Observation.rss", "letters"),
        ("patient/Observation.rrrrrs", "letters"),
        ("patient/Observation.rssszz", "letters"),
        ("patient/Observation.rsXYZ", "letters"),
        ("patient/Observation.RS", "letters"),
        ("patient/Observation.Read", "letters"),
        ("patient/Observation.reads", "letters"),
        ("patient/Observation.read-only", "letters"),
        ("patient/Observation.read.rs", "letters"),
        ("patient/Patient.search", "letters"),
        ("patient/Patient.create", "letters"),
        ("patient/Patient.**", "letters"),
        ("user/Patient.crudss", "letters"),
        ("user/Patient.crudsc", "letters"),
        ("user/Patient.rs ", "letters"),
        ("user/Patient.rs\n", "letters"),
        ("user/Patient.rs#", "letters"),
        ("user/Patient.rs&status=final", "letters"),
        ("user/Patient.rs%3Fstatus=final", "letters"),
        ("user/Patient.ｒs", "letters"),
        ("patient/Observation.read?status=final", "version 2"),
        ("patient/Observation.*?status=final", "version 2"),
        ("patient/Observation.read?", "version 2"),
        ("patient/Observation.rs?", "parameters"),
        ("patient/Observation.rs?active", "parameters"),
        ("patient/Observation.rs?status=", "parameters"),
        ("patient/Observation.rs?=final", "parameters"),
        ("patient/Observation.rs?status=final&", "parameters"),
        ("patient/Observation.rs?&status=final", "parameters"),
        ("patient/Observation.rs?status=final&&code=a", "parameters"),
        ("patient/Observation.rs?status=final&code", "parameters"),
        ("patient/Observation.rs?identifier=x?mrn=12345", "parameters"),
        ("patient/Observation.rs?code:exact=a=b", "parameters"),
        ("patient/Observation.rs?code=,", "parameters"),
        ("patient/Observation.rs?code=a,", "parameters"),
        ("patient/Observation.rs?code=,a", "parameters"),
        ("patient/Observation.rs?code=a,,b", "parameters"),
        ("patient/Observation.rs?code=a,|", "parameters"),
        ("patient/Observation.rs?code=|", "parameters"),
        ("patient/Observation.rs?code=$", "parameters"),
        ("patient/Observation.rs?code=%20", "parameters"),
        ("patient/Observation.rs?code=%2C", "parameters"),
        ("patient/Observation.rs?code=%7C", "parameters"),
        ("patient/Observation.rs?code=a%00", "parameters"),
        ("patient/Observation.rs?code=a%0d%0aX:b", "parameters"),
        ("patient/Observation.rs?code=a%7f", "parameters"),
        ("patient/Observation.rs?code=a%4", "parameters"),
        ("patient/Observation.rs?code=a%zz", "parameters"),
        ("patient/Observation.rs?code=a#b", "parameters"),
        ('patient/Observation.rs?code=a"', "parameters"),
        ("patient/Observation.rs?code=a\\,b", "parameters"),
        ("patient/Observation.rs?code=a b", "parameters"),
        ("patient/Observation.rs?code=a\n", "parameters"),
        ("patient/Observation.rs?code=\u00e9a", "parameters"),
        ("patient/Observation.rs?co%64e=a", "parameters"),
        ("patient/Observation.rs?code%3Ain=a", "parameters"),
        ("patient/Observation.rs?code:=a", "parameters"),
        ("patient/Observation.rs?.name=a", "parameters"),
        ("patient/Observation.rs?1=a", "parameters"),
        (f"{URI}patient/observation.rs", "type"),
    ],
)  # fmt: skip
def test_what_begins_like_a_scope_and_is_none_grants_nothing_and_is_reported(text: str, why: str) -> None:
    assert why in unreadable(text)
    together = granted([text])
    assert ((), (), [text]) == (together.scopes, together.unenforceable, [each.text for each in together.unreadable])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "openid",
        "fhirUser",
        "profile",
        "launch",
        "launch/patient",
        "launch/encounter",
        "launch/imagingstudy?role=https://a.example/role",
        "offline_access",
        "online_access",
        "__custom",
        "https://a.example/scopes/patient/Observation.rs",
        f"{URI}launch/patient",
        f"{URI}{URI}patient/Observation.rs",
        "http://smarthealthit.org/fhir/scopes",
        "practitioner/Observation.write",
        "practitioner/Observation.wr",
        "Patient/Observation.rs",
        "PATIENT/Observation.rs",
        "System/Client.*",
        "*/Patient.rs",
        "/Patient.rs",
        " patient/Patient.rs",
        "\npatient/Patient.rs",
        "patient",
        "patients/Patient.rs",
        "patient.Patient.read",
        "patient$Patient.read",
        "patient%2fPatient.rs",
        "user.read",
        "orders:read",
    ],
)
def test_what_is_no_smart_scope_is_not_one(text: str) -> None:
    assert None is read_scope(text)
    assert Grants((), (), (), R4) == granted([text])


def test_entra_writes_other_things_for_the_slash_where_that_is_said() -> None:
    expected = SmartScope("patient", "Patient", frozenset("rs"))

    for text in ("patient.Patient.read", "patient$Patient.rs", "patient%2fPatient.rs", "patient%2FPatient.rs"):
        assert expected == read(text, entra_spelling=True)
        assert (expected,) == granted([text], entra_spelling=True).scopes
    assert expected == read("patient/Patient.rs", entra_spelling=True)
    narrowed = "patient.Observation.rs?code=user.a,patient%2fb"
    assert (("code", "user.a,patient%2fb"),) == read(narrowed, entra_spelling=True).parameters
    assert "type" in unreadable("patient.patient.read", entra_spelling=True)
    assert None is read_scope("patientPatient.read", entra_spelling=True)
    assert None is read_scope("launch.patient", entra_spelling=True)


def test_the_types_are_those_of_the_servers_version() -> None:
    media, usage = "user/Media.r", "user/DeviceUsage.r"

    assert "Media" == read(media).resource_type
    assert "Media" == read(media, types=R4B).resource_type
    assert "type" in unreadable(media, types=R5)
    assert "type" in unreadable(usage)
    assert (read(usage, types=R5),) == granted([media, usage], types=R5).scopes


def test_the_versions_of_fhir_have_the_types_that_they_have() -> None:
    assert (145, 140, 157) == (len(R4), len(R4B), len(R5))
    assert {"Patient", "Task", "Binary", "Bundle"} <= R4 & R4B & R5
    assert {"MedicinalProduct", "EffectEvidenceSynthesis"} <= R4 - R4B
    assert {"Citation", "SubscriptionTopic"} <= R4B - R4
    assert {"Media", "RequestGroup", "DeviceUseStatement"} <= R4B - R5
    assert {"RequestOrchestration", "Transport", "SubstancePolymer"} <= R5 - R4B
    assert set() == {"Resource", "DomainResource", "Parameters"} & (R4 | R4B | R5)


# --- parameters that are not enforced ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "unenforceable"),
    [
        ("code:in=http://valueset.example.org/ValueSet/diabetes-codes", ["code:in"]),
        ("category:not=laboratory", ["category:not"]),
        ("status:missing=true", ["status:missing"]),
        ("patient.birthdate=1970-01-01", ["patient.birthdate"]),
        ("subject:Patient.name=Smith", ["subject:Patient.name"]),
        ("_has:Observation:patient:code=http://loinc.org|1234-5", ["_has:Observation:patient:code"]),
        ("_has=Observation", ["_has"]),
        ("_filter=status%20eq%20final", ["_filter"]),
        ("_include=Observation:subject", ["_include"]),
        ("_include:iterate=Observation:subject", ["_include:iterate"]),
        ("_revinclude=Provenance:target", ["_revinclude"]),
        ("_list=42", ["_list"]),
        ("_query=all", ["_query"]),
        ("_text=a", ["_text"]),
        ("_content=a", ["_content"]),
        ("_count=1", ["_count"]),
        ("_summary=count", ["_summary"]),
        ("_unheard-of=1", ["_unheard-of"]),
        ("resource-origin=Device/1", ["resource-origin"]),
        ("status=final&code:in=a&_filter=b", ["code:in", "_filter"]),
        ("_id=1&_tag=a&_profile=b&_security=c&_source=d&_lastUpdated=2020", []),
        ("value-quantity=5&combo_code=a&code2=b", []),
    ],
)
def test_a_parameter_that_is_not_enforced_is_kept_and_marked(parameters: str, unenforceable: list[str]) -> None:
    text = f"patient/Observation.rs?{parameters}"
    scope = read(text)
    together = granted([text])

    assert tuple(unenforceable) == scope.unenforceable
    assert text == str(scope)
    assert ((), (scope,)) == (together.scopes, together.unenforceable) or not unenforceable
    assert bool(unenforceable) == (together.applying("Observation", "s", "patient") == ())


def test_a_scope_that_is_not_enforced_takes_nothing_from_the_others() -> None:
    odd, plain = "patient/Observation.rs?code:in=a", "patient/*.rs"

    assert (read(plain),) == granted([odd, plain]).applying("Observation", "r", "patient")


# --- Koppeltaal --------------------------------------------------------------------------------------


def test_resource_origin_is_read_as_koppeltaal_writes_it() -> None:
    one, two = "system/Task.crus?resource-origin=Device/1", "system/*.d?resource-origin=Device/34,Device/456"

    assert frozenset({"Device/1"}) == read(one).origins
    assert (("resource-origin", "Device/1"),) == read(one).parameters
    assert frozenset({"Device/34", "Device/456"}) == read(f"{URI}{two}").origins
    assert () == read(two).unenforceable
    assert (read(two),) == granted([one, two]).applying("Task", "d", "system")
    assert read(one) != SmartScope("system", "Task", frozenset("crus"), (("resource-origin", "Device/1"),))


@pytest.mark.parametrize(
    "parameters",
    [
        "resource-origin=1",
        "resource-origin=Device/..",
        "resource-origin=Device/1,Organization/2",
        "resource-origin=Device%2F1",
        "resource-origin=Device/1&resource-origin=Device/2",
        "resource-origin=Device/1&status=ready",
        "status=ready&resource-origin=Device/1",
    ],
)
def test_another_resource_origin_is_none(parameters: str) -> None:
    assert "resource-origin" in unreadable(f"system/Task.r?{parameters}")


def test_an_origin_counts_in_koppeltaals_own_scopes_alone() -> None:
    for text in ("patient/Task.r?resource-origin=Device/1", "user/Task.r?resource-origin=Device/1"):
        assert None is read(text).origins
        assert ("resource-origin",) == read(text).unenforceable
    assert ("resource-origin:not",) == read("system/Task.r?resource-origin:not=Device/1").unenforceable


def test_reading_is_searching_where_koppeltaal_says_so() -> None:
    task = "system/Task.r?resource-origin=Device/123"
    others = ["system/Device.cud", "user/Task.r", "patient/Task.r"]

    assert () == granted([task]).applying("Task", "s", "system")
    together = granted([task, *others], system_read_includes_search=True)
    (found,) = together.applying("Task", "s", "system")
    assert (frozenset("rs"), frozenset({"Device/123"})) == (found.letters, found.origins)
    assert () == together.applying("Device", "s", "system")
    assert () == together.applying("Task", "s", "user")
    assert () == together.applying("Task", "s", "patient")


# --- all scopes of a token ---------------------------------------------------------------------------


def texts(scopes: tuple[SmartScope, ...]) -> list[str]:
    return [str(scope) for scope in scopes]


def test_no_smart_scope_means_nothing() -> None:
    for scopes in ([], ["openid", "fhirUser", "launch/patient"], ["patient/Observation.dus"]):
        together = granted(scopes)
        assert frozenset() == together.contexts
        for context in CONTEXTS:
            for letter in "cruds":
                assert () == together.applying("Patient", letter, context)
                assert () == together.applying("*", letter, context)


def test_letter_type_and_context_must_all_be_those() -> None:
    together = granted(["patient/Observation.rs", "user/Encounter.cu"])

    assert ["patient/Observation.rs"] == texts(together.applying("Observation", "r", "patient"))
    assert ["patient/Observation.rs"] == texts(together.applying("Observation", "s", "patient"))
    assert ["user/Encounter.cu"] == texts(together.applying("Encounter", "u", "user"))
    assert () == together.applying("Observation", "c", "patient")
    assert () == together.applying("Observation", "r", "user")
    assert () == together.applying("Observation", "r", "system")
    assert () == together.applying("Encounter", "r", "patient")
    assert () == together.applying("Observation", "", "patient")
    assert () == together.applying("Observation", "rs", "patient")
    assert () == together.applying("observation", "r", "patient")
    assert frozenset({"patient", "user"}) == together.contexts


def test_a_star_is_every_type_that_there_is() -> None:
    together = granted(["patient/*.r"])

    assert ["patient/*.r"] == texts(together.applying("Observation", "r", "patient"))
    assert ["patient/*.r"] == texts(together.applying("*", "r", "patient"))
    assert () == together.applying("Foobar", "r", "patient")
    assert () == together.applying("", "r", "patient")
    assert () == together.applying("DeviceUsage", "r", "patient")
    assert ["patient/*.r"] == texts(granted(["patient/*.r"], types=R5).applying("DeviceUsage", "r", "patient"))
    assert () == granted(["patient/Observation.r"]).applying("*", "r", "patient")


def test_granular_scopes_apply_side_by_side() -> None:
    laboratory, social = "patient/Observation.rs?category=laboratory", "patient/Observation.rs?category=social-history"
    together = granted({social, laboratory, "patient/Observation.c?category=exam"})

    assert [laboratory, social] == texts(together.applying("Observation", "s", "patient"))


@pytest.mark.parametrize("whole", ["patient/Observation.s", "patient/*.s", "patient/Observation.read"])
def test_a_scope_without_parameters_allows_what_the_narrowed_ones_do(whole: str) -> None:
    together = granted(["patient/Observation.s?code=http://loinc.org|4548-4&status=final", whole])

    assert (read(whole),) == together.applying("Observation", "s", "patient")


def test_a_scope_without_parameters_widens_no_other_context() -> None:
    narrowed = "patient/Observation.s?status=final"
    together = granted([narrowed, "user/*.s", "patient/Patient.s", "patient/Observation.r"])

    assert [narrowed] == texts(together.applying("Observation", "s", "patient"))


def test_an_origin_does_not_narrow_what_is_granted_whole() -> None:
    together = granted(["system/Task.r?resource-origin=Device/1", "system/Task.r"])

    assert ["system/Task.r"] == texts(together.applying("Task", "r", "system"))


def test_one_scope_in_two_spellings_is_one() -> None:
    together = granted(["patient/Observation.read", "patient/Observation.rs", f"{URI}patient/Observation.rs"])

    assert ["patient/Observation.rs"] == texts(together.scopes)


def test_what_is_reported_is_short_and_safe_to_log() -> None:
    (report,) = granted(["patient/Observation.rs?\n" + "a" * 500]).unreadable

    assert "\n" not in str(report)
    assert len(str(report)) < 250
    assert report.reason in str(report)


# --- shared cases ------------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED, reason="the shared vectors are not here")
def test_there_are_forty_shared_cases() -> None:
    assert 40 == len(SHARED)


@pytest.mark.parametrize("case", SHARED, ids=[f"{at}-{case['scope']}" for at, case in enumerate(SHARED)])
def test_a_shared_case_is_read_as_it_says(case: dict[str, Any]) -> None:
    scope = read_scope(case["scope"], entra_spelling="Azure AD" in case.get("note", ""))

    if case["valid"] and case.get("kind") != "non-resource":
        assert isinstance(scope, SmartScope)
        assert (case["context"], case["resource"], frozenset(case["letters"])) == (
            scope.context,
            scope.resource_type,
            scope.letters,
        )
        assert case["params"] == [list(each) for each in scope.parameters]
        assert ("experimental" in case.get("note", "")) == bool(scope.unenforceable)
    elif case["valid"]:
        assert None is scope
    else:
        assert not isinstance(scope, SmartScope)
        assert () == granted([case["scope"]]).scopes


# --- properties --------------------------------------------------------------------------------------

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}([.:][A-Za-z0-9]{1,5}){0,2}", fullmatch=True)
parts = st.from_regex(r"[|:/.-]{0,3}[A-Za-z0-9][A-Za-z0-9|:/.-]{0,8}(%2[0-9A-F]|%C3%A9)?", fullmatch=True)
values = st.lists(parts, min_size=1, max_size=3).map(",".join)
letters = st.integers(1, 31).map(lambda bits: "".join(letter for at, letter in enumerate("cruds") if bits >> at & 1))
scopes = st.builds(
    lambda context, kind, word, narrowed: (
        f"{context}/{kind}.{word}" + ("?" + "&".join(f"{name}={value}" for name, value in narrowed) if narrowed else "")
    ),
    st.sampled_from(CONTEXTS),
    st.sampled_from(["*", "Observation", "Patient", "Task"]),
    letters,
    st.lists(st.tuples(names.filter(lambda name: name != "resource-origin"), values), max_size=3),
)
nearly = st.builds(
    lambda text, at, inserted, cut: text[: at % (len(text) + 1)] + inserted + text[at % (len(text) + 1) + cut :],
    scopes,
    st.integers(0, 60),
    st.text(max_size=2) | st.sampled_from(["?", "&", "=", ",", ".", "/", "%", "r", "s", "*", " ", "\n"]),
    st.integers(0, 2),
)


@given(scopes)
@example("system/Task.crus?resource-origin=Device/1")
def test_what_is_well_written_is_read_to_the_last_character(text: str) -> None:
    assert text == str(read(text))


@given(nearly | st.text(max_size=40) | st.text("patientusrym/.*?&=cd", max_size=40))
def test_whatever_is_read_loses_nothing(text: str) -> None:
    scope = read_scope(text)

    if isinstance(scope, SmartScope):
        again = str(scope)
        version_1 = {"read": "rs", "write": "cud", "*": "cruds"}
        start, _, word = text.removeprefix(URI).rpartition(".")
        assert again == text.removeprefix(URI) or again == f"{start}.{version_1[word]}"
        assert scope == read(again)
        assert set(text) <= set(string.printable) - set(string.whitespace)


@given(st.lists(scopes | nearly, max_size=6), st.sampled_from(CONTEXTS), st.sampled_from("cruds"))
def test_together_they_allow_what_each_allows_and_no_more(texts: list[str], context: Context, letter: str) -> None:
    for kind in ("Observation", "Patient", "Encounter", "*"):
        alone = {scope for text in texts for scope in granted([text]).applying(kind, letter, context)}
        together = granted(texts).applying(kind, letter, context)

        assert set(together) <= alone
        assert bool(together) == bool(alone)
        if all(scope.parameters for scope in alone):
            assert set(together) == alone
        else:
            assert [()] == [scope.parameters for scope in together]


@given(st.lists(scopes | nearly, max_size=6))
def test_the_order_of_scopes_says_nothing(texts: list[str]) -> None:
    assert granted(texts) == granted(reversed(texts)) == granted(frozenset(texts))
