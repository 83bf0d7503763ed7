"""Parts that the table entries of several of ingest's calls share."""

from services.api.app import Parameter

PREFER_OUTCOME = Parameter(
    name="Prefer",
    where="header",
    schema={"type": "string", "examples": ["respond-async", "wait=5"]},
    description="RFC 7240. `respond-async`: 202 as soon as the order is stored. `wait=N`: wait up "
    "to N seconds (0 to 10) for the outcome. Unknown preferences are ignored.",
)
PREFER_CANCEL = Parameter(
    name="Prefer",
    where="header",
    schema={"type": "string", "examples": ["return=representation", "respond-async", "wait=5"]},
    description=PREFER_OUTCOME.description
    + " `return=representation`: 200 and the order instead of 204.",
)
# Problems of every call that writes to Kafka.
WRITING_PROBLEMS = (
    "malformed_json",
    "invalid",
    "not_accepted",
    "outcome_unknown",
)
