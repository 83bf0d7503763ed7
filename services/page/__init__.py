"""The web page at `/`, and `GET /operations`, from which its operations view is drawn."""
