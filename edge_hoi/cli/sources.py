"""Sources named on the command line, which others on the machine can read in the list of processes."""

from typing import Any

from edge_hoi.cli.terminal import print_note
from edge_hoi.environment import insert_variables
from edge_hoi.masking import holds_password, mask_url, remember, secrets_of_url


def read_sources(value: Any) -> Any:  # noqa: ANN401 -- a text, several or None, as the option or argument has it
    """Insert variables into the sources of an option or argument, and note passwords that others can see.

    Raises:
        ConfigError: A variable is not set.
    """
    for url in [value] if isinstance(value, str) else value or ():
        if holds_password(url):
            print_note(
                f"{mask_url(url)}: every user of this machine can see its password in the list of processes; write 'rtsp://USER:"
                "${CAMERA_PASSWORD}@HOST/PATH' in single quotes, and set that variable, or CAMERA_PASSWORD_FILE to a file with it"
            )
    inserted = insert_variables(value, "command line")
    for url in [inserted] if isinstance(inserted, str) else inserted or ():
        for secret in secrets_of_url(url):
            remember(secret)
    return inserted
