"""What people and other tools read after a run: HTML, JSON, Markdown and SARIF, all made from the same record.

Nothing heavy is imported here: drawings, templates and the records themselves are loaded when a report is made.
"""

from tinymlsec.report.write import FORMATS, parse_formats, write_assessment, write_reports

__all__ = ["FORMATS", "parse_formats", "write_assessment", "write_reports"]
