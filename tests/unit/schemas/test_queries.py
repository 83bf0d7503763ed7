"""Every SQL statement of the services is known to the test that explains them."""

import ast

from tests.support.queries import CASES, NOT_EXPLAINED
from tests.support.sql_found import _statements, statements


def test_every_statement_is_explained_or_has_a_reason() -> None:
    assert CASES.keys().isdisjoint(NOT_EXPLAINED)
    assert CASES.keys() | NOT_EXPLAINED.keys() == statements().keys()


def test_statements_are_found_wherever_they_are_written() -> None:
    source = '''
"""SELECT in a docstring is none."""
QUERY = " SELECT a"
def f(connection, table):
    """UPDATE in a docstring is none."""
    connection.execute("INSERT " "INTO b")
    connection.execute(f"DELETE FROM {table}")
    return "select no more"
'''
    assert sorted(_statements(ast.parse(source))) == [
        " SELECT a",
        "DELETE FROM {}",
        "INSERT INTO b",
    ]
