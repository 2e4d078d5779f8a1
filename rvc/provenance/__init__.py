"""What a converted file says about itself: that it is synthetic, whose program made it, which output it is.

GB 45438-2025, China's mandatory standard for synthetic content, asks for an implicit label in the file's
metadata, which every output carries, and for an audible one where people listen, which is to be asked for.
"""

from rvc.provenance.audible import between_notices
from rvc.provenance.label import Provenance, implicit_label, produce_id, unnamed_origin
from rvc.provenance.metadata import write_label

__all__ = ["Provenance", "between_notices", "implicit_label", "produce_id", "unnamed_origin", "write_label"]
