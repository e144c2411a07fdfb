"""What a statement may say, judged on the tree that DuckDB's own parser makes of it.

Anything that is not known to be harmless is refused: the kinds of nodes, the tables and the
functions are lists of what may be, not of what may not. That matters because DuckDB calls a
statement SELECT also when a WITH in it inserts or deletes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import duckdb

from trading_pipeline.errors import SettingsError

LONGEST: Final = 100_000
"""Characters of a statement."""

_NODES: Final = frozenset(
    {
        *("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"),
        *("BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT"),
        *("ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"),
        *("ORDER_DEFAULT", "ASCENDING", "DESCENDING"),
    }
)
_EXPRESSIONS: Final = frozenset(
    {
        *("COLUMN_REF", "CONSTANT", "FUNCTION", "WINDOW", "OPERATOR", "COMPARISON", "CONJUNCTION"),
        *("CAST", "CASE", "BETWEEN", "SUBQUERY", "PARAMETER", "STAR", "LAMBDA", "LAMBDA_REF"),
        *("COLLATE", "POSITIONAL_REFERENCE", "TYPE"),
    }
)
_TABLE_FUNCTIONS: Final = frozenset({"generate_series", "range", "unnest"})
_ALSO_PURE: Final = frozenset(
    {
        *("grouping", "unnest"),  # made by the parser, in no list of functions
        *("current_date", "get_current_timestamp", "now", "random", "today"),
    }
)
_REFUSED: Final = frozenset(
    {
        # What makes much of little: one call of them cannot be interrupted.
        *("array_resize", "bar", "format", "generate_series", "list_resize", "lpad", "printf"),
        *("range", "repeat", "rpad"),
        # What speaks of the engine rather than of the data, or runs text as SQL.
        *("assert_true", "current_catalog", "current_role", "current_user", "get_block_size"),
        *("json_deserialize_sql", "json_serialize_plan", "json_serialize_sql"),
        *("parse_duckdb_log_message", "session_user", "user"),
    }
)
_FUNCTIONS: Final = """
    SELECT lower(function_name) FROM duckdb_functions()
    WHERE schema_name = 'main' AND NOT starts_with(function_name, '__internal')
    GROUP BY ALL HAVING bool_and(coalesce(stability, 'CONSISTENT') = 'CONSISTENT')
        AND bool_and(function_type IN ('scalar', 'aggregate', 'window', 'macro', 'table'))
        AND bool_or(function_type <> 'table')
"""
"""What DuckDB itself declares to depend on nothing but its arguments."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that may run: itself, the tables it reads, and how many values it asks for."""

    statement: duckdb.Statement
    tables: frozenset[str]
    parameters: int


class Judge:
    """Decides which statements may run."""

    def __init__(self, parser: duckdb.DuckDBPyConnection, tables: frozenset[str]) -> None:
        """Take a connection to parse with and the names of the tables there are."""
        self._parser = parser
        self._tables = tables

    def check(self, sql: str) -> Checked:
        """Return the statement when it is one SELECT over known tables by pure functions.

        Raises SettingsError that says what is refused, before anything is read or run.
        """
        statement = self._only_statement(sql)
        found = _Found()
        try:
            self._walk(self._tree(sql), frozenset(), found)
        except RecursionError:
            raise SettingsError("The query is nested too deeply to be read.") from None
        except (KeyError, TypeError) as error:  # a tree of another shape is no reason to let it by
            raise SettingsError("The query has a part that is not answered.") from error
        return Checked(statement, frozenset(found.tables), len(found.parameters))

    def _only_statement(self, sql: str) -> duckdb.Statement:
        if len(sql) > LONGEST or "\0" in sql or not is_text(sql):
            raise SettingsError(f"The query must be text of at most {LONGEST:,} characters.")
        try:
            statements = self._parser.extract_statements(sql)
        except duckdb.Error as error:
            raise SettingsError(f"The query cannot be read: {one_line(error)}.") from None
        if len(statements) != 1:
            raise SettingsError(f"One statement is expected, and there are {len(statements)}.")
        if statements[0].type != duckdb.StatementType.SELECT:
            kind = str(statements[0].type).rpartition(".")[2]
            raise SettingsError(f"Only SELECT and WITH are answered, and this is {kind}.")
        return statements[0]

    def _tree(self, sql: str) -> list[Any]:
        ((text,),) = self._parser.execute(
            "SELECT json_serialize_sql($1::VARCHAR, skip_null := true, skip_empty := true)", [sql]
        ).fetchall()
        tree = json.loads(text)
        if tree.get("error", True) or len(tree["statements"]) != 1:
            raise SettingsError("Only SELECT and WITH over the catalog's tables are answered.")
        return tree["statements"]

    def _walk(self, part: Any, named: frozenset[str], found: "_Found") -> None:
        """Judge a part of the tree; `named` are the WITH queries that can be seen from it."""
        if isinstance(part, list):
            for each in part:
                self._walk(each, named, found)
        elif isinstance(part, dict):
            _require_known_kind(part)
            self._require_known_names(part, named, found)
            for key, value in _common_tables(part):
                recursive = value["query_node"]["type"] == "RECURSIVE_CTE_NODE"
                self._walk(value, named | {key} if recursive else named, found)
                named |= {key}
            for key, value in part.items():
                if key != "cte_map":
                    self._walk(value, named, found)

    def _require_known_names(
        self, part: Mapping[str, Any], named: frozenset[str], found: "_Found"
    ) -> None:
        if part.get("class") == "PARAMETER":
            found.add_parameter(part["identifier"])
        elif part.get("type") == "BASE_TABLE":
            self._require_table(part, named, found)
        elif part.get("type") == "TABLE_FUNCTION":
            self._require_table_function(part["function"])
        elif "function_name" in part and not part.get("is_checked"):
            self._require_function(str(part["function_name"]).lower())

    def _require_table(
        self, part: Mapping[str, Any], named: frozenset[str], found: "_Found"
    ) -> None:
        path = part["qualified_name"]["path"]
        name = str(path[-1]).lower()
        if len(path) == 1 and name in named:
            return
        if len(path) > 1 or name not in self._tables:
            raise SettingsError(
                f"There is no table {'.'.join(path)!r}: those are"
                f" {', '.join(sorted(self._tables))}."
            )
        found.tables.add(name)

    def _require_table_function(self, function: dict[str, Any]) -> None:
        name = str(function["function_name"]).lower()
        if name not in _TABLE_FUNCTIONS:
            raise SettingsError(
                f"The table function {name!r} is not answered: those are"
                f" {', '.join(sorted(_TABLE_FUNCTIONS))}."
            )
        function["is_checked"] = True

    def _require_function(self, name: str) -> None:
        if name not in self._functions:
            raise SettingsError(
                f"The function {name!r} is not answered: only functions of their arguments are."
            )

    @cached_property
    def _functions(self) -> frozenset[str]:
        pure = {name for (name,) in self._parser.execute(_FUNCTIONS).fetchall()}
        return frozenset((pure | _ALSO_PURE) - _REFUSED)


class _Found:
    """What a walk has met."""

    def __init__(self) -> None:
        self.tables = set[str]()
        self.parameters = set[str]()

    def add_parameter(self, identifier: str) -> None:
        if not identifier.isdecimal():
            raise SettingsError(f"The parameter ${identifier} has a name: write `?` for a value.")
        self.parameters.add(identifier)


def is_text(value: str) -> bool:
    """Whether the text can be written as UTF-8; half a character cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def one_line(error: BaseException) -> str:
    """What DuckDB says, without the picture of the place and in one line."""
    text = str(error).partition("\n\nLINE ")[0]
    return " ".join(text.split())[:400].rstrip(".")


def _require_known_kind(part: Mapping[str, Any]) -> None:
    """Expressions have a class; everything else that has a type is a part of a query."""
    if "class" in part:
        if part["class"] not in _EXPRESSIONS:
            raise SettingsError(f"The query has a part that is not answered: {part['class']}.")
        return
    kind = part.get("type")
    if isinstance(kind, str) and kind not in _NODES and not kind.endswith("_TYPE_INFO"):
        said = kind.removesuffix("_NODE").replace("_", " ")
        raise SettingsError(f"The query has a part that is not answered: {said}.")


def _common_tables(part: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in part.get("cte_map", {}).get("map", ()):
        yield str(entry["key"]).lower(), entry["value"]
