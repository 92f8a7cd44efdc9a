"""Other people's numbers, each with its source and how it came here.

Nothing in ``data`` was measured with this library. A row says where a number is printed and how it
was read: in the paper, or from third parties that copied it. Two copies that agree are stated as
two transcriptions.
"""

from attention_collapse.published.results import DATA, PublishedResult, results

__all__ = ["DATA", "PublishedResult", "results"]
