"""Files of every format as one kind of table: its columns now, its rows when asked for."""

from graph_etl.file_formats.opening import open_table
from graph_etl.file_formats.table import ROW_ERROR, Table

__all__ = ["ROW_ERROR", "Table", "open_table"]
