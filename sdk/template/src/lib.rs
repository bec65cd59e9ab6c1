//! What `bailiwick new agent` writes, and how guests are built.
