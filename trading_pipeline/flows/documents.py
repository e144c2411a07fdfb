"""What published documents share: their base, and how money, shares and times are written."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    WithJsonSchema,
)

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def plain_money(amount: Decimal) -> str:
    """Return dollars without exponent: cents, and the further decimals that are not zero."""
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def plain_shares(quantity: Decimal) -> str:
    """Return shares without exponent and without trailing zeros."""
    text = f"{quantity:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


Money = Annotated[
    Decimal,
    PlainSerializer(plain_money, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": r"^-?\d+\.\d{2,}$", "description": "US dollars"},
        mode="serialization",
    ),
]
Shares = Annotated[
    Decimal,
    PlainSerializer(plain_shares, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "description": "shares, signed"},
        mode="serialization",
    ),
]
Moment = Annotated[
    AwareDatetime,
    AfterValidator(lambda moment: moment.astimezone(UTC)),
    PlainSerializer(datetime.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]


class Document(BaseModel):
    """What all parts share: frozen, and no field that the schema does not have."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )


def schema_text(document: type[Document]) -> str:
    """Return the JSON schema of a document, as it is published under docs/reference."""
    schema = document.model_json_schema(mode="serialization")
    return json.dumps({"$schema": _DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"
