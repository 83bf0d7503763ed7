"""The table of roles compared with the services, topics and tables it refers to."""

from collections.abc import Set

import pytest

from schemas.roles import ROLE, ROLES, Role
from schemas.tables import TABLES
from schemas.topics import TOPICS
from services.local.exchange import MODULES


def topics_of(role: Role, operation: str) -> Set[str]:
    return {
        right.name
        for right in role.kafka
        if right.resource == "topic" and operation in right.operations
    }


def test_every_service_has_a_role() -> None:
    assert set(MODULES) | {"ingest", "reader"} <= set(ROLE)
    assert len(ROLE) == len(ROLES)


def test_writers_of_a_topic_equal_those_in_its_definition() -> None:
    named_as = {"gateway": "ingest", "ingest": "ingest"}
    for topic in TOPICS:
        for role in ROLES:
            if topic.name in topics_of(role, "write"):
                assert named_as.get(role.name, role.name) in topic.writer, (topic.name, role.name)


def test_gateway_has_the_rights_of_ingest_and_reader_and_those_for_webhooks() -> None:
    gateway = set(ROLE["gateway"].kafka)
    assert gateway == set(ROLE["ingest"].kafka) | set(ROLE["reader"].kafka)
    more = set(ROLE["gateway"].postgres) - set(ROLE["reader"].postgres)
    assert {grant.table for grant in more} == {"webhook_deliveries", "webhook_endpoints"}


def test_grants_refer_to_existing_tables_and_columns() -> None:
    columns = {table.name: set(table.columns) for table in TABLES}
    for role in ROLES:
        for grant in role.postgres:
            assert set(grant.columns) <= columns[grant.table], (role.name, grant)


def test_grants_to_write_match_the_writers_of_each_table() -> None:
    for table in TABLES:
        granted = {
            role.name
            for role in ROLES
            for grant in role.postgres
            if grant.table == table.name and grant.privilege != "SELECT"
        }
        assert granted == set(table.writers), table.name


@pytest.mark.parametrize("name", ["webhooks", "analyst", "ingest", "matcher"])
def test_role_that_needs_no_brokers_table_has_no_grant_on_it(name: str) -> None:
    assert "brokers" not in {grant.table for grant in ROLE[name].postgres}


def test_user_of_an_exchange_with_a_prefix_has_that_prefix() -> None:
    assert (ROLE["sink"].user(""), ROLE["sink"].user("demo.")) == ("sink", "demo.sink")
