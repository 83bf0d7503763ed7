"""`exchange`: the operator's command with all its subcommands."""

import typer

from services.cli import access, audit, broker, doctor, listings, replay, run, topics
from services.local.signals import quiet_kafka

EXIT_CODES = (
    "Exit codes: 0 done; 1 a check failed, or an unexpected error; 2 a bad setting or usage; "
    "3 Kafka, PostgreSQL, Java or the topics are not usable; 6 the log contradicts itself; "
    "7 the database's tables are of another version; 9 the port or the data directory is in use; "
    "10 a service dies again and again; 11 refused, nothing was changed; 12 Kafka or PostgreSQL "
    "does not let this user in, or forbids what it needs."
)

app = typer.Typer(
    name="exchange",
    help="Run and look after an exchange. Settings are EXCHANGE_... variables.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("audit")(audit.audit)
app.command("replay")(replay.replay)
app.command("doctor")(doctor.doctor)
app.add_typer(topics.app, name="topics")
app.add_typer(access.app, name="access")
app.add_typer(broker.app, name="broker")
app.add_typer(listings.app, name="listings")


def main() -> None:
    """Entry point of the console script."""
    quiet_kafka()
    app()


if __name__ == "__main__":
    main()
