"""Where recordings come from and voices go: one interface over the kinds of storage.

`open_store` turns a URI into a store and a key in it. What is in a store is whole: an object appears under
its key complete and verified, or not at all.
"""

from rvc.store.folder import FolderStore
from rvc.store.interface import ObjectInfo, Store
from rvc.store.uri import open_store

__all__ = ["FolderStore", "ObjectInfo", "Store", "open_store"]
