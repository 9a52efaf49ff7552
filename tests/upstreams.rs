//! Upstreams that misbehave, and clients that wait, byte by byte.
