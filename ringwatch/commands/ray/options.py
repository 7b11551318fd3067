"""Where the Ray cluster is: the options that all `ringwatch ray` commands share."""

from typing import Annotated

import typer

AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Cluster: HOST:PORT, ray://HOST:PORT, auto, or local for one on this machine that ends with the"
        " command  [env: RAY_ADDRESS; default: local]",
        show_default=False,
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Folder in a store (s3://…, any address of fsspec) through which nodes that do not see the"
        " workspace get snapshot and bundle, once each.",
        show_default=False,
    ),
]
